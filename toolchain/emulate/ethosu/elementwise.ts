/** Ops on one or two tensors of the same shape; the second may be one row, column, channel or number. */
import type { Elementwise, Scale } from '../../ethosu/operations.ts';
import { clamped, scaled } from './arithmetic.ts';
import { readTensor } from './feature-map.ts';
import type { Memory } from './memory.ts';
import type { Finish } from './output.ts';

export function elementwise(memory: Memory, operation: Elementwise, finish: Finish): Int32Array {
  const { ifm, ofm, isReversed, word } = operation;
  const first = readTensor(memory, ifm, word);
  const second = readSecond(memory, operation);
  const combine = combiner(operation);
  const values = new Int32Array(first.length);
  for (let y = 0, index = 0; y < ofm.height; y++) {
    for (let x = 0; x < ofm.width; x++) {
      const start = y * second.stepY + x * second.stepX;
      for (let c = 0; c < ofm.depth; c++, index++) {
        const a = first[index]!;
        const b = second.values[start + c * second.stepC]!;
        values[index] = finish(isReversed ? combine(b, a) : combine(a, b));
      }
    }
  }
  return values;
}

interface Broadcast {
  readonly values: Int32Array;
  readonly stepY: number;
  readonly stepX: number;
  readonly stepC: number;
}

function readSecond(memory: Memory, { second, ifm, word }: Elementwise): Broadcast {
  const alone = { stepY: 0, stepX: 0, stepC: 0 };
  if (second === null) return { values: Int32Array.of(0), ...alone };
  if (second.kind === 'scalar') {
    const zeroPoint = ifm.type.bytes === 4 ? 0 : second.zeroPoint;
    return { values: Int32Array.of(second.value - zeroPoint), ...alone };
  }
  const { height, width, depth } = second.ifm2;
  return {
    values: readTensor(memory, second.ifm2, word),
    stepY: height === 1 ? 0 : width * depth,
    stepX: width === 1 ? 0 : depth,
    stepC: depth === 1 ? 0 : 1,
  };
}

type Combine = (a: number, b: number) => number;

/** Of zero-point-free operands to a scaled result. */
function combiner(operation: Elementwise): Combine {
  const { mode, rounding } = operation;
  const scale = resultScale(operation);
  const rescaled = (value: number) => (scale === null ? value : scaled(value, scale, rounding));
  switch (mode) {
    case 'mul':
      // The product of 32-bit operands is scaled whole: one of them stands for the multiplier.
      return operation.ifm.type.bytes === 4
        ? (a, b) => scaled(a, { scale: b, shift: scale?.shift ?? 0 }, rounding)
        : (a, b) => rescaled(a * b);
    case 'add':
    case 'sub': {
      const [scaleA, scaleB] = operandScales(operation);
      const sign = mode === 'add' ? 1 : -1;
      return (a, b) => rescaled(scaleA(a) + sign * scaleB(b));
    }
    case 'min':
      return (a, b) => rescaled(Math.min(a, b));
    case 'max':
      return (a, b) => rescaled(Math.max(a, b));
    case 'lrelu':
      return (a) => (a < 0 ? rescaled(a) : a);
    case 'abs':
      return (a) => rescaled(Math.abs(a));
    case 'clz':
      return (a) => Math.clz32(a);
    case 'shr':
      return (a, b) => scaled(a, { scale: 1, shift: clamped(b, 0, 63) }, rounding);
    case 'shl':
      return (a, b) => clamped(a * 2 ** clamped(b, 0, 63), -(2 ** 31), 2 ** 31 - 1);
  }
}

/** Operands of 32 bits are shifted only; the other modes scale as the precision says. */
function resultScale({ ofmScale, ifm }: Elementwise): Scale | null {
  if (ofmScale === null) return null;
  return ifm.type.bytes === 4 ? { scale: 1, shift: ofmScale.shift } : ofmScale;
}

/** What ADD and SUB make of each operand before they add. */
function operandScales(
  operation: Elementwise,
): readonly [a: (a: number) => number, b: (b: number) => number] {
  const { operandScaling, operandA, operandB, operandRounding, ifm } = operation;
  if (ifm.type.bytes === 4) return [(a) => a, (b) => b];
  // Half of 2^20 or 2^15: the sum of two operands then stays in range.
  const leftShift = ifm.type.bytes === 1 ? 20 : 15;
  const other = 2 ** (leftShift - 1);
  const byA = (value: number) => scaled(value, operandA, operandRounding, leftShift);
  switch (operandScaling) {
    case 'both-16':
      return [(a) => a * (operandA.scale & 0xffff), (b) => b * operandB];
    case 'a-32':
      return [byA, (b) => b * other];
    case 'b-32':
      return [(a) => a * other, byA];
  }
}
