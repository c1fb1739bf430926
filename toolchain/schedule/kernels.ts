/**
 * `kernels.json`, the list of every kernel: which op it computes, on which cores, from which file,
 * with how much scratch. A kernel exists only as a row there; a test compares it with `kernels.h`.
 */
import { readFileSync } from 'node:fs';
import * as z from 'zod';
import { internalError } from '../errors.ts';
import { type Graph, type Node, type Stage, tensorOf } from '../ir/graph.ts';
import { opOf } from '../ops/index.ts';
import { packagePath } from '../package-root.ts';
import { type Packing, type PackingName, packings, type Weights } from './packings.ts';

/** Best first: the order in which `selectKernel` looks. */
const variants = [
  'cmsis-nn',
  'mve',
  'dsp-triples',
  'dsp',
  'wasm-relaxed',
  'wasm-simd',
  'portable',
] as const;

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
  /** Features of the core, as in `targets/cores`; Arm's library; weights of 7 bits; flash to spend. */
  needs: z.array(
    z.enum(['dsp', 'mve', 'cmsis-nn', 'wasm-simd', 'wasm-relaxed', 'w7', 'spare-flash']),
  ),
  /** Kernels with constant weights only. */
  weights: z.enum(Object.keys(packings) as [PackingName]).optional(),
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

/** Integer types of what a kernel reads; those of weights count where there are constant ones. */
export interface OperandTypes {
  readonly input?: Kernel['input'];
  readonly weights?: Packing['dtype'];
}

export function weightType({ weights }: Kernel): Packing['dtype'] {
  return weights === undefined ? 'int8' : packings[weights].dtype;
}

/** The best kernel of a family for a core that has `features`. */
export function selectKernel(
  { kernels }: KernelTable,
  family: string,
  output: string,
  features: readonly string[],
  { input = 'int8', weights = 'int8' }: OperandTypes = {},
): Kernel {
  const usable = kernels
    .filter((kernel) => kernel.family === family && kernel.output === output)
    .filter((kernel) => kernel.input === input && weightType(kernel) === weights)
    .filter(({ needs }) => needs.every((feature) => features.includes(feature)))
    .toSorted((a, b) => variants.indexOf(a.variant) - variants.indexOf(b.variant));
  const best = usable[0];
  if (best === undefined) throw internalError(`no kernel computes ${family} to ${output}`, family);
  return best;
}

/** The kernel that computes a node: chosen once for a core, and asked for wherever one is named or priced. */
export type KernelOf = (graph: Graph<Stage>, node: Node) => Kernel;

/** By the integer types of a node's operands and output; they must be set, before quantization too. */
export function kernelsFor(features: readonly string[], table: KernelTable): KernelOf {
  return (graph, node) => {
    const family = opOf(node.op).kernel;
    if (family === null) throw internalError(`op '${node.op}' has no kernel`, node.name);
    const dtypeOf = (name: string) => tensorOf(graph, name).dtype;
    return selectKernel(table, family, dtypeOf(node.output), features, {
      input: dtypeOf(node.inputs[0]!) === 'int16' ? 'int16' : 'int8',
      weights: isPacked(node, features) && dtypeOf(node.inputs[1]!) === 'int4' ? 'int4' : 'int8',
    });
  };
}

/** WebAssembly has int4 weights a byte each: its memory is not short, and relaxed SIMD takes them so. */
function isPacked({ op }: Node, features: readonly string[]): boolean {
  return op === 'linear' && !features.includes('wasm-simd');
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
  return packing === undefined ? weights : packings[packing].pack(weights, outputs, inputs);
}
