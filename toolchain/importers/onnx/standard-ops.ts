/** Ops of ONNX's own operator sets, 7 to the newest, as primitives. */

import { addAttention, addRotary } from '../primitive/compose.ts';
import type { BinaryName, UnaryName } from '../primitive/elementwise.ts';
import type { ReduceKind } from '../primitive/graph.ts';
import type { ElementType } from '../primitive/value.ts';
import { arrayFor, integers, knownValue, scalar } from '../primitive/value.ts';
import type { Converter, NodeContext } from './context.ts';
import { dataTypes } from './tensors.ts';

const unary =
  (name: UnaryName): Converter =>
  ({ builder, input, output }) => {
    builder.add('unary', { function: name }, [input(0)], output());
  };

/** Some are variadic: a op b op c. */
const binary =
  (name: BinaryName): Converter =>
  ({ node, builder, output }) => {
    const [first = '', ...more] = node.inputs;
    if (more.length === 0) builder.add('identity', {}, [first], output());
    let sum = first;
    for (const [index, next] of more.entries()) {
      const to = index === more.length - 1 ? output() : undefined;
      sum = builder.add('binary', { function: name }, [sum, next], to);
    }
  };

const reduce =
  (kind: ReduceKind, after?: UnaryName, before?: UnaryName): Converter =>
  (context) => {
    const { builder, input, output } = context;
    const x =
      before === undefined ? input(0) : builder.add('unary', { function: before }, [input(0)]);
    const axes = axesOperand(context, 1);
    if (axes === '' && context.int('noop_with_empty_axes') === 1) {
      builder.add('identity', {}, [x], output());
      return;
    }
    const attrs = { kind, keepAxes: context.int('keepdims') !== 0 };
    const inputs = axes === '' ? [x] : [x, axes];
    if (after === undefined) builder.add('reduce', attrs, inputs, output());
    else
      builder.add('unary', { function: after }, [builder.add('reduce', attrs, inputs)], output());
  };

/** Axes were an attribute before they became an operand. */
function axesOperand({ builder, input, ints }: NodeContext, index: number): string {
  const axes = ints('axes');
  return axes === undefined ? input(index) : builder.integers(axes);
}

const identity: Converter = ({ builder, input, output }) => {
  builder.add('identity', {}, [input(0)], output());
};

const castTo = (type: number | undefined): ElementType | null =>
  type === undefined ? null : (dataTypes[type]?.type ?? null);

const cast: Converter = (context) => {
  const { builder, input, output, int } = context;
  const to = castTo(int('to'));
  if (to === null) builder.add('opaque', { what: 'Cast' }, [input(0)], output());
  else builder.add('cast', { to }, [input(0)], output());
};

const constant: Converter = (context) => {
  const { builder, int, float, ints, tensor, node } = context;
  const floats = node.attributes.find(({ name }) => name === 'value_floats')?.floats;
  const number = float('value_float');
  const whole = int('value_int');
  const wholes = ints('value_ints');
  const value =
    tensor('value') ??
    (number !== undefined
      ? scalar('float', number)
      : whole !== undefined
        ? scalar('int', whole)
        : wholes !== undefined
          ? integers(wholes)
          : floats !== undefined
            ? knownValue('float', [floats.length], arrayFor('float', floats))
            : undefined);
  if (value === undefined) builder.add('opaque', { what: 'Constant' }, [], context.output());
  else builder.constant(value, context.output());
};

export const gemm: Converter = (context) => {
  const { builder, input, output, int, float } = context;
  const transposed = (name: string, flag: string) =>
    int(flag) === 1 ? builder.add('transpose', { order: [1, 0] }, [name]) : name;
  const a = transposed(input(0), 'transA');
  const b = transposed(input(1), 'transB');
  const [alpha, beta] = [float('alpha') ?? 1, float('beta') ?? 1];
  const times = (x: string, factor: number) =>
    factor === 1 ? x : builder.add('binary', { function: 'multiply' }, [x, builder.float(factor)]);
  if (input(2) === '' || beta === 0) {
    const product = builder.add('matmul', {}, [a, b]);
    builder.add('identity', {}, [times(product, alpha)], output());
    return;
  }
  const product = times(builder.add('matmul', {}, [a, b]), alpha);
  builder.add('binary', { function: 'add' }, [product, times(input(2), beta)], output());
};

const pad: Converter = ({ builder, input, output, ints, float, text }) => {
  if ((text('mode') ?? 'constant') !== 'constant') {
    builder.add('opaque', { what: 'Pad' }, [input(0)], output());
    return;
  }
  // Before operator set 11 these were attributes.
  const pads = ints('pads');
  const operands =
    pads === undefined
      ? [1, 2, 3].map((index) => input(index))
      : [builder.integers(pads), builder.float(float('value') ?? 0)];
  builder.add('pad', {}, [input(0), ...operands], output());
};

const slice: Converter = (context) => {
  const { builder, input, output, ints } = context;
  const starts = ints('starts');
  const list = (name: string, index: number) => {
    const values = ints(name);
    return values === undefined ? input(index) : builder.integers(values);
  };
  // Before operator set 10 these were attributes, without steps.
  const operands =
    starts === undefined
      ? [1, 2, 3, 4].map((index) => input(index))
      : [list('starts', 1), list('ends', 2), list('axes', 3), ''];
  builder.add('slice', {}, [input(0), ...operands], output());
};

const split: Converter = (context) => {
  const { node, builder, input, int, ints } = context;
  const sizes = ints('split');
  const operand = sizes === undefined ? input(1) : builder.integers(sizes);
  const count = int('num_outputs') ?? node.outputs.length;
  for (const [index, output] of node.outputs.entries()) {
    if (output === '') continue;
    const attrs = { axis: int('axis') ?? 0, index, count };
    builder.add('split', attrs, operand === '' ? [input(0)] : [input(0), operand], output);
  }
};

const clip: Converter = (context) => {
  const { builder, input, output, float } = context;
  const bound = (name: string, index: number) => {
    const number = float(name);
    return number === undefined ? input(index) : builder.float(number);
  };
  const [low, high] = [bound('min', 1), bound('max', 2)];
  const above =
    low === '' ? input(0) : builder.add('binary', { function: 'maximum' }, [input(0), low]);
  if (high === '') builder.add('identity', {}, [above], output());
  else builder.add('binary', { function: 'minimum' }, [above, high], output());
};

/** Of the default operator set: before 13 all axes from `axis` on were one. */
const softmax: Converter = ({ builder, input, output, int, opset }) => {
  const axis = int('axis') ?? (opset >= 13 ? -1 : 1);
  builder.add('softmax', { axis }, [input(0)], output());
};

const layerNormalization: Converter = ({ builder, input, output, int, float }) => {
  const attrs = { axis: int('axis') ?? -1, epsilon: float('epsilon') ?? 1e-5 };
  const inputs = [0, 1, 2].map((index) => input(index)).filter((name) => name !== '');
  builder.add('layerNorm', attrs, inputs, output());
};

const attention: Converter = (context) => {
  const { node, builder, input, output, int, float } = context;
  const heads = int('q_num_heads');
  const isPlain = node.inputs.slice(4).every((name) => name === '') && !float('softcap');
  if (!isPlain || (heads ?? 0) !== (int('kv_num_heads') ?? 0)) {
    builder.add('opaque', { what: 'Attention' }, [input(0)], output());
    return;
  }
  const attrs = {
    heads: heads ?? 0,
    scale: float('scale') ?? null,
    causal: int('is_causal') === 1,
  };
  addAttention(
    builder,
    { ...attrs, mask: input(3) },
    [input(0), input(1), input(2)],
    heads === undefined,
    output(),
  );
};

/** As PyTorch exports it: of heads that are split already, and of all their columns. */
const rotaryEmbedding: Converter = ({ builder, input, output, int }) => {
  if ((int('rotary_embedding_dim') ?? 0) !== 0 || int('interleaved') === 1) {
    builder.add('opaque', { what: 'RotaryEmbedding' }, [input(0)], output());
    return;
  }
  const [x, cosines, sines, positions] = [input(0), input(1), input(2), input(3)];
  addRotary(builder, { x, cosines, sines, positions }, output());
};

export const standardOps: Readonly<Record<string, Converter>> = {
  Identity: identity,
  Dropout: identity,
  Constant: constant,
  Cast: cast,
  CastLike: ({ builder, input, output }) => {
    // The types are those of the graph's own tensors: floats stay floats.
    builder.add('identity', {}, [input(0)], output());
  },
  Add: binary('add'),
  Sub: binary('subtract'),
  Mul: binary('multiply'),
  Div: binary('divide'),
  Pow: binary('power'),
  Mod: binary('modulo'),
  Min: binary('minimum'),
  Max: binary('maximum'),
  Sum: binary('add'),
  Equal: binary('equal'),
  Less: binary('less'),
  LessOrEqual: binary('lessOrEqual'),
  Greater: binary('greater'),
  GreaterOrEqual: binary('greaterOrEqual'),
  And: binary('and'),
  Or: binary('or'),
  Xor: binary('exclusiveOr'),
  Not: unary('not'),
  Neg: unary('negative'),
  Abs: unary('absolute'),
  Exp: unary('exponential'),
  Log: unary('logarithm'),
  Sqrt: unary('squareRoot'),
  Reciprocal: unary('reciprocal'),
  Erf: unary('errorFunction'),
  Tanh: unary('hyperbolicTangent'),
  Sigmoid: unary('sigmoid'),
  HardSigmoid: unary('hardSigmoid'),
  Relu: unary('relu'),
  Sin: unary('sine'),
  Cos: unary('cosine'),
  Floor: unary('floor'),
  Ceil: unary('ceiling'),
  Sign: unary('sign'),
  IsNaN: unary('isNaN'),
  IsInf: unary('isInfinite'),
  Gelu: ({ builder, input, output, text }) => {
    builder.add('gelu', { tanh: text('approximate') === 'tanh' }, [input(0)], output());
  },
  Where: ({ builder, input, output }) => {
    builder.add('where', {}, [input(0), input(1), input(2)], output());
  },
  MatMul: ({ builder, input, output }) => {
    builder.add('matmul', {}, [input(0), input(1)], output());
  },
  Gemm: gemm,
  Einsum: ({ node, builder, output, text }) => {
    builder.add('einsum', { equation: text('equation') ?? '' }, node.inputs, output());
  },
  Transpose: ({ builder, input, output, ints }) => {
    builder.add('transpose', { order: ints('perm') ?? null }, [input(0)], output());
  },
  Reshape: ({ builder, input, output, int, ints }) => {
    const shape = ints('shape');
    const operand = shape === undefined ? input(1) : builder.integers(shape);
    builder.add('reshape', { zeroCopies: int('allowzero') !== 1 }, [input(0), operand], output());
  },
  Flatten: ({ builder, input, output, int }) => {
    builder.add('flatten', { axis: int('axis') ?? 1 }, [input(0)], output());
  },
  Squeeze: (context) => {
    const { builder, input, output } = context;
    const axes = axesOperand(context, 1);
    builder.add('squeeze', {}, axes === '' ? [input(0)] : [input(0), axes], output());
  },
  Unsqueeze: (context) => {
    const { builder, input, output } = context;
    builder.add('unsqueeze', {}, [input(0), axesOperand(context, 1)], output());
  },
  Expand: ({ builder, input, output }) => {
    builder.add('expand', {}, [input(0), input(1)], output());
  },
  Tile: ({ builder, input, output }) => {
    builder.add('tile', {}, [input(0), input(1)], output());
  },
  Concat: ({ node, builder, output, int }) => {
    builder.add('concat', { axis: int('axis') ?? 0 }, node.inputs, output());
  },
  Split: split,
  Pad: pad,
  Slice: slice,
  Gather: ({ builder, input, output, int }) => {
    builder.add('gather', { axis: int('axis') ?? 0 }, [input(0), input(1)], output());
  },
  GatherElements: ({ builder, input, output, int }) => {
    builder.add('gatherElements', { axis: int('axis') ?? 0 }, [input(0), input(1)], output());
  },
  GatherND: ({ builder, input, output, int }) => {
    const isPlain = (int('batch_dims') ?? 0) === 0;
    if (isPlain) builder.add('gatherNd', {}, [input(0), input(1)], output());
    else builder.add('opaque', { what: 'GatherND' }, [input(0)], output());
  },
  ReduceMean: reduce('mean'),
  GlobalAveragePool: ({ builder, input, output }) => {
    const sizes = { start: 0, end: Number.MAX_SAFE_INTEGER };
    const rank = builder.add('shape', sizes, [builder.add('shape', sizes, [input(0)])]);
    const ends = [builder.integers([2]), rank, builder.integers([1])];
    const axes = builder.add('range', {}, ends);
    builder.add('reduce', { kind: 'mean', keepAxes: true }, [input(0), axes], output());
  },
  ReduceSum: reduce('sum'),
  ReduceMax: reduce('max'),
  ReduceMin: reduce('min'),
  ReduceProd: reduce('product'),
  ReduceL2: reduce('sum', 'squareRoot', 'square'),
  ReduceSumSquare: reduce('sum', undefined, 'square'),
  Softmax: softmax,
  LayerNormalization: layerNormalization,
  CumSum: ({ builder, input, output, int }) => {
    const isPlain = !int('exclusive') && !int('reverse');
    if (isPlain) builder.add('cumsum', {}, [input(0), input(1)], output());
    else builder.add('opaque', { what: 'CumSum' }, [input(0)], output());
  },
  Range: ({ builder, input, output }) => {
    builder.add('range', {}, [input(0), input(1), input(2)], output());
  },
  Shape: ({ builder, input, output, int }) => {
    const attrs = { start: int('start') ?? 0, end: int('end') ?? Number.MAX_SAFE_INTEGER };
    builder.add('shape', attrs, [input(0)], output());
  },
  Size: ({ builder, input, output }) => {
    const shape = builder.add('shape', { start: 0, end: Number.MAX_SAFE_INTEGER }, [input(0)]);
    builder.add('reduce', { kind: 'product', keepAxes: false }, [shape], output());
  },
  ConstantOfShape: ({ builder, input, output, tensor }) => {
    const value = builder.constant(tensor('value') ?? scalar('float', 0));
    builder.add('fill', {}, [input(0), value], output());
  },
  OneHot: ({ builder, input, output, int }) => {
    builder.add('oneHot', { axis: int('axis') ?? -1 }, [input(0), input(1), input(2)], output());
  },
  Trilu: ({ builder, input, output, int }) => {
    const inputs = input(1) === '' ? [input(0)] : [input(0), input(1)];
    builder.add('triangle', { upper: int('upper') !== 0 }, inputs, output());
  },
  Clip: clip,
  Attention: attention,
  RotaryEmbedding: rotaryEmbedding,
};
