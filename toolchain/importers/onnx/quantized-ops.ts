/**
 * Quantized ONNX graphs: QDQ pairs, QOperator nodes and dynamically quantized products. Their meaning
 * is that on reals; codes and scales of weights are kept with the constants, and the scale of
 * an activation with the node that rounds to it.
 */
import { addAttention, addProduct } from '../primitive/compose.ts';
import { scalar } from '../primitive/value.ts';
import type { Converter, NodeContext } from './context.ts';

/** The real values of operand `index`, whose scale and zero point follow it. */
function real({ builder, input }: NodeContext, index: number, axis = 1): string {
  return dequantize(builder, input(index), input(index + 1), input(index + 2), axis);
}

function dequantize(
  builder: NodeContext['builder'],
  x: string,
  scale: string,
  zeroPoint: string,
  axis = 1,
): string {
  const operands = zeroPoint === '' ? [x, scale] : [x, scale, zeroPoint];
  return builder.add('dequantize', { axis }, operands);
}

/** Rounds to the scale in operand `index` and the zero point behind it. */
function rounded({ builder, input, output }: NodeContext, x: string, index: number): void {
  const zeroPoint = input(index + 1);
  const operands = zeroPoint === '' ? [x, input(index)] : [x, input(index), zeroPoint];
  builder.add('quantize', { axis: 1 }, operands, output());
}

/** An integer bias counts in units of the product of both scales. */
function bias(
  { builder, input }: NodeContext,
  index: number,
  scales: readonly [number, number],
): string {
  if (input(index) === '') return '';
  const [a, b] = scales;
  const unit = builder.add('binary', { function: 'multiply' }, [input(a), input(b)]);
  return dequantize(builder, input(index), unit, '', 0);
}

const qlinearMatMul: Converter = (context) => {
  const { builder } = context;
  const product = builder.add('matmul', {}, [real(context, 0), real(context, 3)]);
  rounded(context, product, 6);
};

/** a, b, bias; alpha·A·B + C */
const qgemm: Converter = (context) => {
  const { builder, input, output, int, float } = context;
  const isTransposed = int('transB') === 1;
  const weight = real(context, 3, isTransposed ? 0 : 1);
  const moved = isTransposed ? builder.add('transpose', { order: [1, 0] }, [weight]) : weight;
  if ((float('alpha') ?? 1) !== 1 || int('transA') === 1) {
    builder.add('opaque', { what: 'QGemm' }, [input(0)], output());
    return;
  }
  const product = addProduct(builder, real(context, 0), moved, bias(context, 6, [1, 4]));
  if (input(7) === '') builder.add('identity', {}, [product], output());
  else rounded(context, product, 7);
};

const qlinearBinary =
  (name: 'add' | 'multiply'): Converter =>
  (context) => {
    const { builder } = context;
    const result = builder.add('binary', { function: name }, [real(context, 0), real(context, 3)]);
    rounded(context, result, 6);
  };

const qlinearSigmoid: Converter = (context) => {
  const result = context.builder.add('unary', { function: 'sigmoid' }, [real(context, 0)]);
  rounded(context, result, 3);
};

const qlinearSoftmax: Converter = (context) => {
  const axis = context.int('axis') ?? -1;
  const result = context.builder.add('softmax', { axis }, [real(context, 0)]);
  rounded(context, result, 3);
};

/** y, its scale and zero point: y stays what it is worth, so that it has scale 1 and zero point 0. */
const dynamicQuantizeLinear: Converter = ({ builder, input, output }) => {
  builder.add('identity', {}, [input(0)], output());
  const [scale, zero] = [output(1), output(2)];
  if (scale !== undefined) builder.constant(scalar('float', 1), scale);
  if (zero !== undefined) builder.constant(scalar('int', 0), zero);
};

/** a·(b − zero point of b), where a is worth what it is. */
const matMulInteger: Converter = ({ builder, input, output }) => {
  const weight = dequantize(builder, input(1), builder.float(1), input(3));
  builder.add('matmul', {}, [input(0), weight], output());
};

/** a, b, scales of a and b, zero points of a and b, bias */
const matMulIntegerToFloat: Converter = ({ builder, input, output }) => {
  const weight = dequantize(builder, input(1), input(3), input(5));
  const product = builder.add('matmul', {}, [input(0), weight]);
  const scaled = builder.add('binary', { function: 'multiply' }, [product, input(2)]);
  if (input(6) === '') builder.add('identity', {}, [scaled], output());
  else builder.add('binary', { function: 'add' }, [scaled, input(6)], output());
};

/** a, b, scale and zero point of b, bias */
const dynamicQuantizeMatMul: Converter = ({ builder, input, output }) => {
  const weight = dequantize(builder, input(1), input(2), input(3));
  addProduct(builder, input(0), weight, input(4), output());
};

/** input, weight, bias, their two scales, mask, their two zero points, past */
const qattention: Converter = (context) => {
  const { builder, input, output, int } = context;
  const x = dequantize(builder, input(0), input(3), input(6));
  const weight = dequantize(builder, input(1), input(4), input(7));
  const product = addProduct(builder, x, weight, input(2));
  const [q, k, v] = [0, 1, 2].map((index) =>
    builder.add('split', { axis: -1, index, count: 3 }, [product]),
  ) as [string, string, string];
  const attrs = { heads: int('num_heads') ?? 0, scale: null, causal: int('unidirectional') === 1 };
  addAttention(builder, { ...attrs, mask: '' }, [q, k, v], false, output());
};

export const quantizedOps: Readonly<Record<string, Converter>> = {
  QuantizeLinear: (context) => {
    const { builder, input, output, int } = context;
    const operands = input(2) === '' ? [input(0), input(1)] : [input(0), input(1), input(2)];
    builder.add('quantize', { axis: int('axis') ?? 1 }, operands, output());
  },
  DequantizeLinear: (context) => {
    const { builder, input, output, int } = context;
    if (int('block_size'))
      builder.add('opaque', { what: 'DequantizeLinear' }, [input(0)], output());
    else {
      const operands = input(2) === '' ? [input(0), input(1)] : [input(0), input(1), input(2)];
      builder.add('dequantize', { axis: int('axis') ?? 1 }, operands, output());
    }
  },
  QLinearMatMul: qlinearMatMul,
  QGemm: qgemm,
  QLinearAdd: qlinearBinary('add'),
  QLinearMul: qlinearBinary('multiply'),
  QLinearSigmoid: qlinearSigmoid,
  QLinearSoftmax: qlinearSoftmax,
  DynamicQuantizeLinear: dynamicQuantizeLinear,
  MatMulInteger: matMulInteger,
  MatMulIntegerToFloat: matMulIntegerToFloat,
  DynamicQuantizeMatMul: dynamicQuantizeMatMul,
  QAttention: qattention,
};
