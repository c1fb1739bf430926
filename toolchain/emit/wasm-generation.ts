/**
 * What a module has where its model generates text: the sampler beside the forward pass, and what
 * `generate` of firmware-templates/wasm/generate.js must know.
 */

import type { Constraint } from '../constrain/constraint.ts';
import { unitStep, weightTable } from '../generate/sample.ts';
import { silentIds } from '../generate/text.ts';
import type { ModelCard } from '../importers/index.ts';
import { outputOf, outputScale } from '../ir/graph.ts';
import { keepsState, type Program } from '../schedule/program.ts';
import type { CompiledTokenizer } from '../tokenizer/compile.ts';
import type { Tokenizer } from '../tokenizer/parse.ts';
import { endTokensOf } from './c-generation.ts';
import { hex } from './c-text.ts';
import type { ConstantImage } from './wasm-image.ts';

/** All ids are the model's own. */
export interface GenerationDescription {
  readonly endTokens: readonly number[];
  /** `bytes`: tokens are parts of UTF-8; `words`: words and what continues them. */
  readonly pieces: 'bytes' | 'words';
  /** Tokens that stand for no text, where they would be spelled. */
  readonly silent: readonly number[];
  /** Whether the build says what texts may be. */
  readonly isConstrained: boolean;
}

/** The `Sampler` of kernels/assemblyscript/sampler.ts; null where the model does not generate. */
export function placeSampler(image: ConstantImage, program: Program): number | null {
  return keepsState(program) ? image.place(samplerWords(image, program), 'encoder') : null;
}

function samplerWords(image: ConstantImage, program: Program): Uint32Array {
  const step = unitStep(outputScale(program.graph));
  const weights = image.place(weightTable, 'encoder');
  return Uint32Array.of(outputOf(program.graph).shape[1], step, weights);
}

/** The `Constraint` of kernels/assemblyscript/constraint.ts. */
export function placeConstraint(
  image: ConstantImage,
  program: Program,
  constraint: Constraint,
): number {
  const { tokens, classes, rows, rowStarts, edgeClasses, edgeSteps, distances } = constraint;
  const place = (data: ArrayBufferView): number => image.place(data, 'constraint');
  const { classCount, firstSingle, hasEnd } = constraint;
  const allowed = image.placeOwn(new Uint8Array(classCount), 'constraint');
  const sampler = image.placeOwn(samplerWords(image, program), 'constraint');
  return place(
    Uint32Array.of(
      ...[tokens === null ? 0 : place(tokens), place(classes), place(rows), place(rowStarts)],
      ...[place(edgeClasses), place(edgeSteps), place(distances), classes.length, classCount],
      ...[firstSingle, classes.BYTES_PER_ELEMENT, Number(hasEnd), allowed, sampler],
    ),
  );
}

export interface GenerationAddresses {
  readonly sampler: number;
  readonly constraint: number | null;
  readonly output: number;
}

export function generationExports(addresses: GenerationAddresses): string {
  return addresses.constraint === null
    ? samplerExports(addresses)
    : constraintExports(addresses.constraint, addresses.output);
}

function constraintExports(constraint: number, output: number): string {
  const p = `changetype<Constraint>(${hex(constraint)})`;
  return `import {
  Constraint, lm_choose_permitted, lm_is_complete, lm_is_forced, lm_is_over,
} from './constraint';

export { placeOfText } from './constraint';
export { randomState } from './sampler';

/** Of the logits behind the last token. */
export function choose(
  temperature: u32, topK: i32, topP: u32, state: u32, mostTokens: i32, place: i32,
): i32 {
  return lm_choose_permitted(
    ${p}, ${hex(output)}, mostTokens, place, temperature, topK, topP, state,
  );
}

export function isForced(place: i32): bool {
  return lm_is_forced(${p}, place);
}

export function isOver(place: i32): bool {
  return lm_is_over(${p}, place);
}

export function isComplete(place: i32): bool {
  return lm_is_complete(${p}, place);
}
`;
}

function samplerExports({ sampler, output }: GenerationAddresses): string {
  return `import { Sampler, lm_choose_token } from './sampler';

export { randomState } from './sampler';

/** Of the logits behind the last token. */
export function choose(temperature: u32, topK: i32, topP: u32, state: u32): i32 {
  return lm_choose_token(
    changetype<Sampler>(${hex(sampler)}), ${hex(output)}, temperature, topK, topP, state,
  );
}
`;
}

export function describeGeneration(
  program: Program,
  card: ModelCard,
  tokenizer: Tokenizer,
  compiled: CompiledTokenizer,
  isConstrained: boolean,
): GenerationDescription | null {
  if (!keepsState(program)) return null;
  const endTokens = endTokensOf({ card, tokenizer: compiled });
  if (tokenizer.kind !== 'wordpiece') {
    return { endTokens, pieces: 'bytes', silent: [], isConstrained };
  }
  const compact = silentIds(tokenizer).map((id) => compiled.idOrder.indexOf(id));
  const silent = compact.filter((id) => id >= 0);
  return { endTokens, pieces: 'words', silent, isConstrained };
}
