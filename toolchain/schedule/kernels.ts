/**
 * `kernels.json`, the list of every kernel: which op it computes, on which cores, from which file,
 * with how much scratch. A kernel exists only as a row there; a test compares it with `kernels.h`.
 */
import { readFileSync } from 'node:fs';
import * as z from 'zod';
import { internalError } from '../errors.ts';
import type { TypedArrayOf } from '../ir/dtypes.ts';
import { type Graph, type Node, type Stage, tensorOf } from '../ir/graph.ts';
import { opOf } from '../ops/index.ts';
import { packagePath } from '../package-root.ts';

type Weights = TypedArrayOf<'int8'>;

/** Best first: the order in which `selectKernel` looks. */
const variants = ['cmsis-nn', 'mve', 'dsp', 'wasm-relaxed', 'wasm-simd', 'portable'] as const;

/** How a kernel wants the (outputs, inputs) weights of a linear laid out. */
const packings = {
  'row-major': (weights: Weights) => weights,
  pairs: packPairs,
  'bands-64x32': packBands,
  quads: packQuads,
} as const satisfies Record<string, (weights: Weights, outputs: number, inputs: number) => Weights>;

const bytes = z.int().nonnegative().default(0);
const file = z
  .string()
  .regex(/^(c\/[a-z0-9_/]+\.[ch]|assemblyscript\/[a-z0-9_]+\.ts)$/, 'a path like "c/linear.c"');

const kernelSchema = z.strictObject({
  /** `OpDef.kernel` of the op. */
  family: z.string(),
  name: z.string().regex(/^lm_[a-z0-9_]+$/, 'a C name that begins with lm_'),
  input: z.enum(['int8', 'int16']),
  output: z.enum(['int8', 'int16']),
  variant: z.enum(variants),
  /** The source, from `kernels/` on. */
  file,
  /** Features of the core, as in `targets/cores`; Arm's library; weights of 7 bits. */
  needs: z.array(z.enum(['dsp', 'mve', 'cmsis-nn', 'wasm-simd', 'wasm-relaxed', 'w7'])),
  /** Kernels with constant weights only. */
  weights: z.enum(Object.keys(packings) as [keyof typeof packings]).optional(),
  /** Bytes, and bytes for each of what a call has; aligned to 4 bytes; see `scratchBytes`. */
  scratch: z.strictObject({
    bytes,
    perInput: bytes,
    perOutput: bytes,
    perColumn: bytes,
    perToken: bytes,
  }),
});

const kernelsSchema = z.strictObject({
  /** Headers the sources include. */
  headers: z.array(file),
  kernels: z.array(kernelSchema),
});

export type Kernel = z.infer<typeof kernelSchema>;
export type KernelTable = z.infer<typeof kernelsSchema>;

/** All kernels; throws when the shipped file breaks its schema. */
export function loadKernels(): KernelTable {
  const parsed = kernelsSchema.safeParse(
    JSON.parse(readFileSync(packagePath('kernels', 'kernels.json'), 'utf8')),
  );
  if (!parsed.success) throw internalError(z.prettifyError(parsed.error), 'kernels/kernels.json');
  return parsed.data;
}

/** The best kernel of a family for a core that has `features`. */
export function selectKernel(
  { kernels }: KernelTable,
  family: string,
  output: string,
  features: readonly string[],
  input: Kernel['input'] = 'int8',
): Kernel {
  const usable = kernels
    .filter((kernel) => kernel.family === family && kernel.output === output)
    .filter((kernel) => kernel.input === input)
    .filter(({ needs }) => needs.every((feature) => features.includes(feature)))
    .toSorted((a, b) => variants.indexOf(a.variant) - variants.indexOf(b.variant));
  const best = usable[0];
  if (best === undefined) throw internalError(`no kernel computes ${family} to ${output}`, family);
  return best;
}

/** The kernel that computes a node, by the integer types of its first operand and its output. */
export function kernelOfNode(
  table: KernelTable,
  graph: Graph<Stage>,
  node: Node,
  features: readonly string[],
): Kernel {
  const family = opOf(node.op).kernel;
  if (family === null) throw internalError(`op '${node.op}' has no kernel`, node.name);
  const input = tensorOf(graph, node.inputs[0]!).dtype === 'int16' ? 'int16' : 'int8';
  return selectKernel(table, family, tensorOf(graph, node.output).dtype, features, input);
}

/** What a call's scratch depends on. */
export interface ScratchShape {
  /** Columns of x or q or u, of all heads. */
  readonly inputs: number;
  /** Columns of the output. */
  readonly outputs: number;
  /** Columns of the operand that is read whole; 0: there is none. */
  readonly columns: number;
  readonly tokens: number;
}

export function scratchBytes(
  { scratch }: Kernel,
  { inputs, outputs, columns, tokens }: ScratchShape,
): number {
  const perShape =
    scratch.perInput * inputs + scratch.perOutput * outputs + scratch.perColumn * columns;
  return scratch.bytes + perShape + scratch.perToken * tokens;
}

/** Row-major (outputs, inputs) weights as `kernel` reads them. */
export function packWeights(
  { weights: packing }: Kernel,
  weights: Weights,
  outputs: number,
  inputs: number,
): Weights {
  return packing === undefined ? weights : packings[packing](weights, outputs, inputs);
}

/** Inputs that the loops over `pairs` may add up, and the multiple of inputs they take at once. */
const longestPairs = 8192;
const pairsBlock = 32;

/**
 * The weights of two outputs a halfword, low + 256 · high, in the order of SXTB16: of four inputs 0
 * and 2, then 1 and 3 (c/dsp/linear.c). Rows that are too long stay rows.
 */
function packPairs(weights: Weights, outputs: number, inputs: number): Weights {
  if (inputs > longestPairs) return weights;
  const padded = Math.ceil(inputs / pairsBlock) * pairsBlock;
  const packed = new Int8Array(Math.ceil(outputs / 2) * 2 * padded);
  const at = (output: number, input: number) =>
    output < outputs && input < inputs ? weights[output * inputs + input]! : 0;
  let to = 0;
  for (let output = 0; output < outputs; output += 2) {
    for (let quad = 0; quad < padded; quad += 4) {
      for (const input of [quad, quad + 2, quad + 1, quad + 3]) {
        const low = at(output, input);
        const high = at(output + 1, input) - (low < 0 ? 1 : 0);
        if (high < -128) throw internalError('a weight of -128 cannot be packed', 'pairs');
        packed[to++] = low;
        packed[to++] = high;
      }
    }
  }
  return packed;
}

/** Outputs of a band and inputs of a group (c/mve/linear.c). */
const bandOutputs = 64;
const groupInputs = 32;

/**
 * Bands of outputs, in them groups of inputs, in them an output after the other: (bands, groups,
 * outputs of the band, 32). The last output's twin and inputs behind the last are 0.
 */
function packBands(weights: Weights, outputs: number, inputs: number): Weights {
  const padded = Math.ceil(inputs / groupInputs) * groupInputs;
  const packed = new Int8Array(Math.ceil(outputs / 2) * 2 * padded);
  let to = 0;
  for (let band = 0; band < outputs; band += bandOutputs) {
    const end = Math.min(band + bandOutputs, outputs);
    for (let group = 0; group < inputs; group += groupInputs) {
      for (let output = band; output < end; output++) {
        const row = output * inputs;
        packed.set(weights.subarray(row + group, row + Math.min(group + groupInputs, inputs)), to);
        to += groupInputs;
      }
      to += (end % 2) * groupInputs;
    }
  }
  return packed;
}

/** Outputs of a group and inputs of a quad (assemblyscript/linear.ts). */
const groupOutputs = 4;
const quadInputs = 4;

/**
 * Groups of four outputs, in them quads of inputs, in them an output after the other: (groups, quads,
 * 4, 4). Outputs up to a multiple of eight, and inputs behind the last, are 0.
 */
function packQuads(weights: Weights, outputs: number, inputs: number): Weights {
  const quads = Math.ceil(inputs / quadInputs);
  const packed = new Int8Array(Math.ceil(outputs / 8) * 8 * quads * quadInputs);
  for (let output = 0; output < outputs; output++) {
    const group = Math.floor(output / groupOutputs) * quads;
    for (let input = 0; input < inputs; input++) {
      const quad = (group + Math.floor(input / quadInputs)) * groupOutputs;
      const to = (quad + (output % groupOutputs)) * quadInputs + (input % quadInputs);
      packed[to] = weights[output * inputs + input]!;
    }
  }
  return packed;
}
