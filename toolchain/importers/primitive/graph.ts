/**
 * The one graph that every graph format is read into: primitive ops on tensors of any rank.
 *
 * It says what the file says, in one vocabulary, and nothing about transformers; `../recognize/` finds
 * those in it. What a format writes as an attribute in one version and as an operand in another
 * (axes, shapes, split sizes) is always an operand here. A node has one output; absent operands
 * are ''. Ops outside the vocabulary are `opaque`, which only matters where the output needs them.
 */
import type { BinaryName, UnaryName } from './elementwise.ts';
import type { ElementType, Value } from './value.ts';

/** Attributes by op. */
export interface PrimitiveAttrs {
  readonly binary: { readonly function: BinaryName };
  readonly unary: { readonly function: UnaryName };
  readonly gelu: { readonly tanh: boolean };
  readonly cast: { readonly to: ElementType };
  readonly identity: NoAttrs;
  readonly where: NoAttrs;
  readonly matmul: NoAttrs;
  readonly einsum: { readonly equation: string };
  /** Null: as the second operand says, without one reversed. */
  readonly transpose: { readonly order: readonly number[] | null };
  readonly swapLastAxes: NoAttrs;
  /** [x, shape]; `zeroCopies`: 0 means the size the axis had. */
  readonly reshape: { readonly zeroCopies: boolean };
  readonly flatten: { readonly axis: number };
  /** [x, axes], as the next one; without axes all of size 1. */
  readonly squeeze: NoAttrs;
  readonly unsqueeze: NoAttrs;
  /** [x, shape] */
  readonly expand: NoAttrs;
  /** [x, counts, value, axes]: so many elements of the value before, then behind each axis. */
  readonly pad: NoAttrs;
  /** [x, repeats] */
  readonly tile: NoAttrs;
  readonly concat: { readonly axis: number };
  /** [x, sizes]; without sizes in `count` equal parts. The part is number `index`. */
  readonly split: { readonly axis: number; readonly index: number; readonly count: number };
  /** [x, starts, ends, axes, steps] */
  readonly slice: NoAttrs;
  /** TensorFlow's: bit i of a mask is about position i of the specification. */
  readonly stridedSlice: {
    readonly beginMask: number;
    readonly endMask: number;
    readonly ellipsisMask: number;
    readonly newAxisMask: number;
    readonly shrinkAxisMask: number;
  };
  /** [x, indices] */
  readonly gather: { readonly axis: number };
  readonly gatherElements: { readonly axis: number };
  readonly gatherNd: NoAttrs;
  /** [x, axes]; without axes over all. */
  readonly reduce: { readonly kind: ReduceKind; readonly keepAxes: boolean };
  readonly softmax: { readonly axis: number };
  /** [scores, mask]: the mask is added, or says which keys are seen if it is boolean. */
  readonly attentionMask: NoAttrs;
  /** [x, gamma, beta] over the last axis. */
  readonly layerNorm: { readonly axis: number; readonly epsilon: number };
  /** [x, axis] */
  readonly cumsum: NoAttrs;
  /** [start, limit, step] */
  readonly range: NoAttrs;
  /** Sizes of the axes start … end − 1, which may be negative. */
  readonly shape: { readonly start: number; readonly end: number };
  /** [shape, value] */
  readonly fill: NoAttrs;
  /** [indices, depth, off and on] */
  readonly oneHot: { readonly axis: number };
  /** [x, k] */
  readonly triangle: { readonly upper: boolean };
  /** [x, scale, zero point]; per element of `axis` where the scale is no scalar. */
  readonly quantize: { readonly axis: number };
  readonly dequantize: { readonly axis: number };
  readonly opaque: { readonly what: string };
}

export type PrimitiveName = keyof PrimitiveAttrs;
type NoAttrs = Readonly<Record<string, never>>;
const reduceKinds = ['sum', 'mean', 'max', 'min', 'product'] as const;
export type ReduceKind = (typeof reduceKinds)[number];

export type PrimitiveNode = {
  [N in PrimitiveName]: {
    readonly op: N;
    readonly attrs: PrimitiveAttrs[N];
    /** What the user calls the node, and the op as the format calls it. */
    readonly name: string;
    readonly userOp: string;
    readonly inputs: readonly string[];
    readonly output: string;
  };
}[PrimitiveName];

export interface PrimitiveInput {
  readonly name: string;
  readonly type: ElementType;
  /** Null: any size; a name is the same size wherever it stands. */
  readonly shape: readonly (number | string | null)[] | null;
}

export interface PrimitiveGraph {
  /** As in a message: `ONNX`. */
  readonly format: string;
  readonly inputs: readonly PrimitiveInput[];
  readonly outputs: readonly string[];
  readonly constants: ReadonlyMap<string, Value>;
  /** Each behind those whose outputs it reads. */
  readonly nodes: readonly PrimitiveNode[];
}
