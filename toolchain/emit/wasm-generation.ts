/**
 * What a module has where its model generates text: the sampler beside the forward pass, and what
 * `generate` of firmware-templates/wasm/generate.js must know.
 */
import { unitStep, weightTable } from '../generate/sample.ts';
import type { ModelCard } from '../importers/index.ts';
import { tensorOf } from '../ir/graph.ts';
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
}

/** The `Sampler` of kernels/assemblyscript/sampler.ts; null where the model does not generate. */
export function placeSampler(image: ConstantImage, program: Program): number | null {
  if (!keepsState(program)) return null;
  const { shape, quant } = tensorOf(program.graph, program.graph.outputs[0]!);
  const step = unitStep(quant?.kind === 'affine' ? quant.scale : 1);
  const weights = image.place(weightTable, 'encoder');
  return image.place(Uint32Array.of(shape[1], step, weights), 'encoder');
}

export function samplerExports(sampler: number, outputAddress: number): string {
  return `import { Sampler, lm_choose_token } from './sampler';

export { randomState } from './sampler';

/** Of the logits behind the last token. */
export function choose(temperature: u32, topK: i32, topP: u32, state: u32): i32 {
  return lm_choose_token(
    changetype<Sampler>(${hex(sampler)}), ${hex(outputAddress)}, temperature, topK, topP, state,
  );
}
`;
}

export function describeGeneration(
  program: Program,
  card: ModelCard,
  tokenizer: Tokenizer,
  compiled: CompiledTokenizer,
): GenerationDescription | null {
  if (!keepsState(program)) return null;
  const endTokens = endTokensOf({ card, tokenizer: compiled });
  if (tokenizer.kind !== 'wordpiece') return { endTokens, pieces: 'bytes', silent: [] };
  const { clsId, sepId, padId } = tokenizer;
  const silent = [clsId, sepId, padId].map((id) => compiled.idOrder.indexOf(id));
  return { endTokens, pieces: 'words', silent: silent.filter((id) => id >= 0) };
}
