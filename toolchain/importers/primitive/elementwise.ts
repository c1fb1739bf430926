/** Element-wise functions of the primitive graph: a row each, its meaning on numbers. */
import { erf } from '../../ops/linear.ts';
import type { ElementType } from './value.ts';

/** `type`: of the result; null is that of the operands. */
interface UnaryRow {
  readonly apply: (x: number) => number;
  readonly type: ElementType | null;
}

const unary = (apply: (x: number) => number, type: ElementType | null = null): UnaryRow => ({
  apply,
  type,
});

export const unaryFunctions = {
  negative: unary((x) => -x),
  absolute: unary(Math.abs),
  exponential: unary(Math.exp),
  logarithm: unary(Math.log),
  squareRoot: unary(Math.sqrt),
  inverseSquareRoot: unary((x) => 1 / Math.sqrt(x)),
  reciprocal: unary((x) => 1 / x),
  square: unary((x) => x * x),
  errorFunction: unary(erf),
  complementaryErrorFunction: unary((x) => 1 - erf(x)),
  hyperbolicTangent: unary(Math.tanh),
  sigmoid: unary((x) => 1 / (1 + Math.exp(-x))),
  hardSigmoid: unary((x) => Math.min(1, Math.max(0, x / 6 + 0.5))),
  relu: unary((x) => Math.max(0, x)),
  relu6: unary((x) => Math.min(6, Math.max(0, x))),
  sine: unary(Math.sin),
  cosine: unary(Math.cos),
  floor: unary(Math.floor),
  ceiling: unary(Math.ceil),
  sign: unary(Math.sign),
  not: unary((x) => (x === 0 ? 1 : 0), 'bool'),
  isNaN: unary((x) => (Number.isNaN(x) ? 1 : 0), 'bool'),
  isInfinite: unary((x) => (Math.abs(x) === Number.POSITIVE_INFINITY ? 1 : 0), 'bool'),
} as const satisfies Record<string, UnaryRow>;
export type UnaryName = keyof typeof unaryFunctions;

interface BinaryRow {
  readonly apply: (a: number, b: number) => number;
  readonly type: ElementType | null;
}

const binary = (
  apply: (a: number, b: number) => number,
  type: ElementType | null = null,
): BinaryRow => ({ apply, type });

const claim = (holds: (a: number, b: number) => boolean): BinaryRow =>
  binary((a, b) => (holds(a, b) ? 1 : 0), 'bool');

export const binaryFunctions = {
  add: binary((a, b) => a + b),
  subtract: binary((a, b) => a - b),
  multiply: binary((a, b) => a * b),
  divide: binary((a, b) => a / b),
  floorDivide: binary((a, b) => Math.floor(a / b)),
  /** With the sign of the divisor, as Python has it. */
  modulo: binary((a, b) => a - b * Math.floor(a / b)),
  power: binary((a, b) => a ** b),
  minimum: binary((a, b) => Math.min(a, b)),
  maximum: binary((a, b) => Math.max(a, b)),
  squaredDifference: binary((a, b) => (a - b) * (a - b)),
  equal: claim((a, b) => a === b),
  notEqual: claim((a, b) => a !== b),
  less: claim((a, b) => a < b),
  lessOrEqual: claim((a, b) => a <= b),
  greater: claim((a, b) => a > b),
  greaterOrEqual: claim((a, b) => a >= b),
  and: claim((a, b) => a !== 0 && b !== 0),
  or: claim((a, b) => a !== 0 || b !== 0),
  exclusiveOr: claim((a, b) => (a !== 0) !== (b !== 0)),
} as const satisfies Record<string, BinaryRow>;
export type BinaryName = keyof typeof binaryFunctions;
