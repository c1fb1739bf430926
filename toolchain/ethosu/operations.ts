/**
 * What a command stream runs: an op with everything that it uses, as plain data. The simulator and
 * the lint read ops, never registers.
 */
import type { Shape3 } from './accelerators.ts';
import type { RegisterName } from './registers.ts';

export interface ElementType {
  readonly bytes: 1 | 2 | 4;
  readonly isSigned: boolean;
}

/** A tensor in memory: up to four tiles, split at `width0`, `height0` (left) and `height1` (right). */
export interface FeatureMap extends Shape3 {
  readonly register: 'IFM' | 'IFM2' | 'OFM';
  readonly region: number;
  readonly bases: readonly [number, number, number, number];
  readonly width0: number;
  readonly height0: number;
  readonly height1: number;
  readonly strideY: number;
  readonly strideX: number;
  /** Between blocks of 16 channels; no matter in NHWC. */
  readonly strideC: number;
  readonly format: 'nhwc' | 'nhcwb16';
  readonly type: ElementType;
  readonly zeroPoint: number;
}

export interface Kernel {
  /** Of the dilated kernel. */
  readonly height: number;
  readonly width: number;
  readonly strideY: number;
  readonly strideX: number;
  readonly dilationY: number;
  readonly dilationX: number;
  readonly isPartKernelFirst: boolean;
  readonly isDecomposed4x4: boolean;
}

export interface Padding {
  readonly top: number;
  readonly left: number;
  readonly bottom: number;
  readonly right: number;
}

export interface StreamRange {
  readonly region: number;
  readonly base: number;
  readonly length: number;
}

export interface Scale {
  readonly scale: number;
  readonly shift: number;
}

export type Rounding = 'tfl' | 'truncate' | 'natural';

export interface Activation {
  readonly kind: 'clip' | 'tanh' | 'sigmoid' | 'table';
  readonly table: number;
  /** Range of the values before a table lookup, other than that of the output. */
  readonly clip: 'ofm' | 'uint8' | 'int8' | 'int16';
  readonly min: number;
  readonly max: number;
}

interface BlockOperation {
  /** Of the op's command in the stream. */
  readonly word: number;
  readonly ifm: FeatureMap;
  readonly ofm: FeatureMap;
  /** Null: each channel has its own (a convolution), or nothing is scaled. */
  readonly ofmScale: Scale | null;
  readonly rounding: Rounding;
  readonly activation: Activation;
  readonly block: Shape3;
  readonly shram: { readonly inputEnd: number; readonly accumulatorStart: number };
  readonly accumulator: 'int32' | 'int40';
  readonly blockdep: number;
  /** Registers that the op needs and that the stream never set. */
  readonly missing: readonly RegisterName[];
}

export interface KernelOperation extends BlockOperation {
  readonly kernel: Kernel;
  readonly padding: Padding;
  readonly upscale: 'none' | 'nearest' | 'zeros';
}

export interface Convolution extends KernelOperation {
  readonly kind: 'conv' | 'depthwise';
  readonly weights: StreamRange;
  readonly scales: StreamRange;
}

export interface Pool extends KernelOperation {
  readonly kind: 'pool';
  readonly mode: 'max' | 'average' | 'reduce-sum';
}

export const elementwiseModes = [
  'mul',
  'add',
  'sub',
  'min',
  'max',
  'lrelu',
  'abs',
  'clz',
  'shr',
  'shl',
] as const;
export type ElementwiseMode = (typeof elementwiseModes)[number];
export const unaryModes: readonly ElementwiseMode[] = ['lrelu', 'abs', 'clz'];

export interface Elementwise extends BlockOperation {
  readonly kind: 'elementwise';
  readonly mode: ElementwiseMode;
  /** Null of a unary op. */
  readonly second:
    | { readonly kind: 'tensor'; readonly ifm2: FeatureMap; readonly shramStart: number }
    | { readonly kind: 'scalar'; readonly value: number; readonly zeroPoint: number }
    | null;
  /** The second input is operand A. */
  readonly isReversed: boolean;
  /** `both-16`: both operands times 16 bits; else the one named times 32 bits, the other shifted. */
  readonly operandScaling: 'both-16' | 'a-32' | 'b-32';
  readonly operandRounding: Rounding;
  readonly operandA: Scale;
  readonly operandB: number;
}

export interface DmaEnd {
  /** Null: SHRAM. */
  readonly region: number | null;
  readonly address: number;
}

export interface Dma {
  readonly kind: 'dma';
  readonly word: number;
  readonly source: DmaEnd;
  readonly destination: DmaEnd;
  readonly length: number;
  readonly missing: readonly RegisterName[];
}

export interface Wait {
  readonly kind: 'dma-wait' | 'kernel-wait';
  readonly word: number;
  /** How many may still be under way. */
  readonly outstanding: number;
}

export type Block = Convolution | Pool | Elementwise;
export type Operation =
  | Block
  | Dma
  | Wait
  | { readonly kind: 'stop' | 'irq' | 'pmu-mask'; readonly word: number; readonly param: number };
