/**
 * A Program as one WebAssembly module: the forward pass in AssemblyScript, once for plain and once for
 * relaxed SIMD, over one image of constants and one arena; and what model.mjs must know of it.
 *
 *   0 … 1 KiB free | constants | the tokenizer's | arena | what loads may read past it | text …
 *
 * Nothing is compiled here: `build/wasm-module.ts` does that.
 */
import type { Constraint } from '../constrain/constraint.ts';
import type { Tokens } from '../emulate/interpreter.ts';
import type { ModelCard } from '../importers/index.ts';
import { roundUp } from '../integers.ts';
import { type Node, outputOf, outputScale, tensorOf } from '../ir/graph.ts';
import { opOf } from '../ops/index.ts';
import { type Kernel, type KernelTable, kernelsFor } from '../schedule/kernels.ts';
import type { ConstantSizes } from '../schedule/placement.ts';
import { keepsState, type Program } from '../schedule/program.ts';
import type { CompiledTokenizer } from '../tokenizer/compile.ts';
import { tokenizerCode, tokenizerWords } from '../tokenizer/constants.ts';
import type { Tokenizer } from '../tokenizer/parse.ts';
import { assemblyScriptWords, copyOf, runStatements } from './as-run.ts';
import { chooseNames } from './c-names.ts';
import { commentText, hex } from './c-text.ts';
import { classFiles } from './node-params.ts';
import {
  describeGeneration,
  type GenerationDescription,
  generationExports,
  placeConstraint,
  placeSampler,
} from './wasm-generation.ts';
import { type ConstantImage, imageAlignment, imageOrigin, newImage } from './wasm-image.ts';
import { areNarrow, type PlacedParams, placeParams } from './wasm-params.ts';

/** `simd` runs on every engine that has SIMD; `relaxed` where relaxed SIMD is. */
export const wasmVariants = ['simd', 'relaxed'] as const;
export type WasmVariant = (typeof wasmVariants)[number];

export interface SelfTest extends Tokens {
  readonly ids: readonly number[];
  /** What the interpreter computes. */
  readonly outputs: readonly number[];
}

export interface ModuleRequest {
  readonly program: Program;
  readonly card: ModelCard;
  readonly tokenizer: Tokenizer;
  readonly compiledTokenizer: CompiledTokenizer;
  /** What generated texts may be; without it anything. */
  readonly constraint?: Constraint | undefined;
  readonly kernels: KernelTable;
  /** sha256 of graph.bin. */
  readonly sha256: string;
  readonly selfTest: SelfTest;
}

export interface ModuleSources {
  /** AssemblyScript by variant. */
  readonly code: Readonly<Record<WasmVariant, string>>;
  /** From `imageOrigin` on. */
  readonly image: Uint8Array;
  readonly constantSizes: ConstantSizes;
  /** By a node's output; views have none. */
  readonly nodeSizes: ReadonlyMap<string, ConstantSizes>;
  readonly arenaBytes: number;
  readonly pages: number;
  /** What model.mjs says of the model, without what only the linked module tells. */
  readonly description: ModuleDescription;
}

/** Read by firmware-templates/wasm/runtime.js. */
export interface ModuleDescription {
  readonly card: {
    readonly name: string;
    readonly kind: ModelCard['kind'];
    readonly labels: readonly string[] | null;
    readonly maxTokens: number;
    readonly sha256: string;
  };
  readonly scores: ModelCard['scores'];
  readonly outputScale: number;
  readonly columns: number;
  readonly isPerToken: boolean;
  readonly maxTokens: number;
  readonly vocabulary: number;
  /** By id: the tokens that are in no trie. */
  readonly specials: Readonly<Record<number, string>>;
  readonly continuation: { readonly first: number; readonly prefix: string };
  readonly idsAddress: number;
  readonly outputAddress: number;
  readonly textAddress: number;
  /** Null: the model does not generate text. */
  readonly generation: GenerationDescription | null;
  readonly selfTest: SelfTest;
}

export const pageBytes = 65_536;
/** Of what a tokenizer works in; the compiler compares it with the kernels' SCRATCH_BYTES. */
export const wordBytes = { wordpiece: 512, bpe: 1232, unigram: 3568 } as const;
/** Room for text that never makes the memory grow. */
const usualTextBytes = 16_384;

const variantFeatures = {
  simd: ['wasm-simd'],
  relaxed: ['wasm-simd', 'wasm-relaxed'],
} as const satisfies Record<WasmVariant, readonly string[]>;

export function emitModule(request: ModuleRequest): ModuleSources {
  const { program } = request;
  const image = newImage();
  const params = new Map(
    program.graph.nodes.map((node) => {
      const kernel = opOf(node.op).isView ? null : kernelOf(request, node, 'simd');
      return [node.output, placeParams(image, program.graph, node, kernel)] as const;
    }),
  );
  const sampler = placeSampler(image, program);
  const constraint =
    request.constraint === undefined ? null : placeConstraint(image, program, request.constraint);
  const wordAddress = placeTokenizer(image, request.compiledTokenizer);
  const bytes = image.bytes();
  const arenaAddress = wordAddress.value + wordBytes[request.compiledTokenizer.kind];
  const textAddress = roundUp(
    arenaAddress + program.arenaBytes + slackBytes(program),
    imageAlignment,
  );
  const layout = {
    arenaAddress,
    textAddress,
    tokenizerAddress: wordAddress.tokenizer,
    sampler,
    constraint,
  };
  const source = (variant: WasmVariant): string => moduleSource(request, variant, params, layout);
  return {
    code: { simd: source('simd'), relaxed: source('relaxed') },
    image: bytes,
    constantSizes: image.sizes(),
    nodeSizes: new Map(
      [...params].flatMap(([output, one]) => (one === null ? [] : [[output, one.bytes] as const])),
    ),
    arenaBytes: program.arenaBytes,
    pages: Math.ceil((textAddress + usualTextBytes) / pageBytes),
    description: describe(request, layout),
  };
}

/** Vectors are read that begin in the last row, or in the one behind it. */
function slackBytes({ buffers }: Program): number {
  const rows = Object.values(buffers).map(({ sizeBytes, rows: count }) => sizeBytes / count);
  return 64 + Math.max(...rows);
}

interface Layout {
  readonly arenaAddress: number;
  readonly textAddress: number;
  readonly tokenizerAddress: number;
  /** Null: the model does not generate. */
  readonly sampler: number | null;
  /** Null: what it generates may be anything. */
  readonly constraint: number | null;
}

/** Where the tokenizer's own memory is: right behind the constants. */
function placeTokenizer(
  image: ConstantImage,
  compiled: CompiledTokenizer,
): { readonly value: number; readonly tokenizer: number } {
  const words = tokenizerWords(compiled, ({ data }) => image.place(data, 'tokenizer'));
  const tokenizer = imageOrigin + image.bytes().length;
  const value = tokenizer + roundUp(4 * (words.length + 1), imageAlignment);
  image.place(Int32Array.from([...words, value]), 'tokenizer');
  return { value, tokenizer };
}

/** Relaxed SIMD multiplies by 0 … 127: weights that were stored for that (`w7`, int4). */
function kernelOf({ kernels, program }: ModuleRequest, node: Node, variant: WasmVariant): Kernel {
  const { graph } = program;
  const features: string[] = [...variantFeatures[variant]];
  const weights = node.op === 'linear' ? tensorOf(graph, node.inputs[1]!).data : undefined;
  if (weights !== undefined && areNarrow(weights)) features.push('w7');
  return kernelsFor(features, kernels)(graph, node);
}

function moduleSource(
  request: ModuleRequest,
  variant: WasmVariant,
  params: ReadonlyMap<string, PlacedParams | null>,
  layout: Layout,
): string {
  const { program, card } = request;
  const nodes = program.graph.nodes.filter(({ op }) => !opOf(op).isView);
  const used = nodes.map((node) => kernelOf(request, node, variant));
  const imports = new Map<string, Set<string>>();
  const from = (file: string, name: string): void => {
    imports.set(file, (imports.get(file) ?? new Set()).add(name));
  };
  for (const { file, name } of used) from(file.replace(/^.*\/(.*)\.ts$/, '$1'), name);
  for (const { output } of nodes) {
    const { type } = params.get(output)!;
    from(classFiles[type], type);
  }
  const copies = program.segments.flatMap(({ calls }) => calls.filter(({ node }) => node === null));
  for (const { output } of copies) from('copy_rows', copyOf(program.buffers[output.buffer]!));
  if (Object.values(program.buffers).some(({ ring }) => ring !== null)) {
    from('copy_rows', 'lm_ring_row');
  }
  const lines = [...imports]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([file, names]) => `import { ${[...names].sort().join(', ')} } from './${file}';`);
  return `/**
 * ${commentText(card.name)}: at most ${program.maxTokens} tokens in ${program.arenaBytes.toLocaleString('en-US')} bytes of arena, ${variant === 'simd' ? 'plain' : 'relaxed'} SIMD.
 * Generated by lm2mcu build; changes are lost when it runs again.
 */
${lines.join('\n')}
${variant === 'simd' ? textExports(request, layout) : ''}
/** Token ids lie in the arena; so do the outputs, afterwards.${keepsState(program) ? ' `start`: the first token that is new.' : ''} */
export function run(tokens: i32, ${keepsState(program) ? 'start' : 'segmentStart'}: i32): void {
${runStatements({
  program,
  names: chooseNames(program, assemblyScriptWords),
  kernelName: (node) => kernelOf(request, node, variant).name,
  params: (node) => params.get(node.output)!,
  arenaAddress: layout.arenaAddress,
})}
}
`;
}

/** Text to tokens and back: once is enough for both variants. */
function textExports(request: ModuleRequest, layout: Layout): string {
  const { sampler, constraint } = layout;
  const tokenizer = tokenizerExports(request, layout);
  if (sampler === null) return tokenizer;
  const output = outputAddress(request.program, layout);
  return `${tokenizer}${generationExports({ sampler, constraint, output })}`;
}

function tokenizerExports({ program, compiledTokenizer }: ModuleRequest, layout: Layout): string {
  const { assemblyScript, assemblyScriptGlobals } = tokenizerCode(compiledTokenizer);
  const { tokenizerAddress, textAddress } = layout;
  const tokenizer = `changetype<Tokenizer>(${hex(tokenizerAddress)})`;
  return `${assemblyScriptGlobals}import { SCRATCH_BYTES, Tokenizer, lm_spell, lm_tokenize } from '${assemblyScript}';

if (SCRATCH_BYTES !== ${wordBytes[compiledTokenizer.kind]}) ERROR('the tokenizer needs other room than it has');

export { segmentStartOfTokens, tokensAreTruncated } from './text';

export function tokenize(
  text: usize, textBytes: i32, hasPair: i32, pair: usize, pairBytes: i32,
): i32 {
  return lm_tokenize(
    ${tokenizer}, text, textBytes, hasPair, pair, pairBytes,
    ${hex(idsAddress(program, layout))}, ${program.maxTokens},
  );
}

/** The text of a token, where texts lie. */
export function spell(id: i32): i32 {
  return lm_spell(${tokenizer}, id, ${hex(textAddress)});
}
`;
}

function idsAddress({ buffers, graph }: Program, { arenaAddress }: Layout): number {
  return arenaAddress + buffers[graph.inputs[0]!]!.offset;
}

function outputAddress({ buffers, graph }: Program, { arenaAddress }: Layout): number {
  return arenaAddress + buffers[graph.outputs[0]!]!.offset;
}

function describe(
  { program, card, tokenizer, compiledTokenizer, constraint, sha256, selfTest }: ModuleRequest,
  layout: Layout,
): ModuleDescription {
  const { graph, maxTokens } = program;
  const output = outputOf(graph);
  const { idOrder } = compiledTokenizer;
  const spelled =
    compiledTokenizer.kind === 'bpe'
      ? compiledTokenizer.mergedEnd
      : compiledTokenizer.trie.idOrder.length;
  const specials = [...idOrder.entries()].slice(spelled);
  return {
    card: { name: card.name, kind: card.kind, labels: card.labels, maxTokens, sha256 },
    scores: card.scores,
    outputScale: outputScale(graph),
    columns: output.shape[1],
    isPerToken: output.shape[0] === 'tokens',
    maxTokens,
    vocabulary: idOrder.length,
    specials: Object.fromEntries(
      specials.map(([index, id]) => [index, tokenizer.vocabulary[id] ?? '']),
    ),
    continuation: continuationOf(tokenizer, compiledTokenizer),
    idsAddress: idsAddress(program, layout),
    outputAddress: outputAddress(program, layout),
    textAddress: layout.textAddress,
    generation: describeGeneration(
      program,
      card,
      tokenizer,
      compiledTokenizer,
      constraint !== undefined,
    ),
    selfTest,
  };
}

/** The first token that continues a word, and what marks it; of other tokenizers none is marked. */
function continuationOf(
  tokenizer: Tokenizer,
  compiled: CompiledTokenizer,
): ModuleDescription['continuation'] {
  return tokenizer.kind === 'wordpiece' && compiled.kind === 'wordpiece'
    ? { first: compiled.trie.firstNumbers[1]!, prefix: tokenizer.continuationPrefix }
    : { first: compiled.idOrder.length, prefix: '' };
}
