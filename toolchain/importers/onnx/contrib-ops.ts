/** Ops that ONNX Runtime's optimizer makes of subgraphs (domain com.microsoft), taken apart again. */
import { addAttention, addNorm, addProduct } from '../primitive/compose.ts';
import type { Converter, NodeContext } from './context.ts';
import { gemm } from './standard-ops.ts';

/** Epsilon of ONNX Runtime's kernels where a node names none. */
const defaultEpsilon = 1e-12;

const gelu =
  (tanh: boolean): Converter =>
  ({ builder, input, output }) => {
    const x =
      input(1) === '' ? input(0) : builder.add('binary', { function: 'add' }, [input(0), input(1)]);
    builder.add('gelu', { tanh }, [x], output());
  };

const skipLayerNormalization: Converter = ({ builder, input, output, float }) => {
  // input, skip, gamma, beta, bias; the fourth output is the sum itself
  const addends = [input(0), input(4), input(1)].filter((name) => name !== '');
  const [first = '', ...more] = addends;
  const sum = more.reduce(
    (total, next) => builder.add('binary', { function: 'add' }, [total, next]),
    first,
  );
  const epsilon = float('epsilon') ?? defaultEpsilon;
  addNorm(builder, [sum], input(2), input(3), epsilon, output());
  const kept = output(3);
  if (kept !== undefined) builder.add('identity', {}, [sum], kept);
};

const embedLayerNormalization: Converter = ({ builder, input, output, float }) => {
  const [ids, segments, word, position, segment, gamma, beta, , positions] = Array.from(
    { length: 9 },
    (_, index) => input(index),
  ) as [string, string, string, string, string, string, string, string, string];
  const gather = (table: string, index: string) =>
    builder.add('gather', { axis: 0 }, [table, index]);
  const words = gather(word, ids);
  const counted = positions === '' ? countedPositions(builder, ids) : positions;
  const addends = [words, gather(position, counted)];
  if (segment !== '') {
    // Without segments every token is of the first.
    addends.push(gather(segment, segments === '' ? builder.integers([0]) : segments));
  }
  const epsilon = float('epsilon') ?? defaultEpsilon;
  const sum = addends.reduce((a, b) => builder.add('binary', { function: 'add' }, [a, b]));
  addNorm(builder, [sum], gamma, beta, epsilon, output());
  const kept = output(2);
  if (kept !== undefined) builder.add('identity', {}, [sum], kept);
};

function countedPositions(builder: NodeContext['builder'], ids: string): string {
  const size = builder.add('shape', { start: 1, end: 2 }, [ids]);
  const end = builder.add('squeeze', {}, [size]);
  return builder.add('range', {}, [builder.integers([0]), end, builder.integers([1])]);
}

/** input · (inputs, 3·width) + bias, split into q, k and v. */
const packedAttention: Converter = (context) => {
  const { builder, input, output, int, float, ints } = context;
  const heads = int('num_heads') ?? 0;
  // The mask is that of padding; past states and position biases are not read.
  if (input(4) !== '' || input(5) !== '' || int('do_rotary') === 1) {
    builder.add('opaque', { what: 'Attention' }, [input(0)], output());
    return;
  }
  const product = addProduct(builder, input(0), input(1), input(2));
  const sizes = ints('qkv_hidden_sizes');
  const operands = sizes === undefined ? [product] : [product, builder.integers(sizes)];
  const [q, k, v] = [0, 1, 2].map((index) =>
    builder.add('split', { axis: -1, index, count: 3 }, operands),
  ) as [string, string, string];
  const attrs = attentionAttrs(heads, float('scale'), int('unidirectional'));
  addAttention(builder, attrs, [q, k, v], false, output());
};

function attentionAttrs(heads: number, scale: number | undefined, causal: number | undefined) {
  return { heads, scale: scale || null, causal: causal === 1, mask: '' };
}

/** query, key, value, bias of all three, padding mask, position bias */
const multiHeadAttention: Converter = (context) => {
  const { builder, input, output, int, float } = context;
  if (input(1) === '' || input(2) === '' || input(5) !== '' || input(6) !== '') {
    builder.add('opaque', { what: 'MultiHeadAttention' }, [input(0)], output());
    return;
  }
  const [q, k, v] = [0, 1, 2].map((index) => {
    if (input(3) === '') return input(index);
    const bias = builder.add('split', { axis: 0, index, count: 3 }, [input(3)]);
    return builder.add('binary', { function: 'add' }, [input(index), bias]);
  }) as [string, string, string];
  const attrs = attentionAttrs(int('num_heads') ?? 0, float('scale'), int('unidirectional'));
  addAttention(builder, attrs, [q, k, v], false, output());
};

const fusedMatMul: Converter = ({ builder, input, output, int, float }) => {
  const swapped = (name: string, flag: string) =>
    int(flag) === 1 ? builder.add('swapLastAxes', {}, [name]) : name;
  if (int('transBatchA') === 1 || int('transBatchB') === 1) {
    builder.add('opaque', { what: 'FusedMatMul' }, [input(0)], output());
    return;
  }
  const product = builder.add('matmul', {}, [
    swapped(input(0), 'transA'),
    swapped(input(1), 'transB'),
  ]);
  const factor = builder.float(float('alpha') ?? 1);
  builder.add('binary', { function: 'multiply' }, [product, factor], output());
};

/** A product with the function behind it. */
const fusedGemm: Converter = (context) => {
  const { builder, output, text } = context;
  const activation = { Tanh: 'hyperbolicTangent', Relu: 'relu', Sigmoid: 'sigmoid' } as const;
  const name = activation[text('activation') as keyof typeof activation];
  const product = builder.fresh();
  gemm({ ...context, output: () => product });
  if (name === undefined) builder.add('opaque', { what: 'FusedGemm' }, [product], output());
  else builder.add('unary', { function: name }, [product], output());
};

const quickGelu: Converter = ({ builder, input, output, float }) => {
  const alpha = builder.float(float('alpha') ?? 1.702);
  const scaled = builder.add('binary', { function: 'multiply' }, [input(0), alpha]);
  const gate = builder.add('unary', { function: 'sigmoid' }, [scaled]);
  builder.add('binary', { function: 'multiply' }, [input(0), gate], output());
};

export const contribOps: Readonly<Record<string, Converter>> = {
  Gelu: gelu(false),
  BiasGelu: gelu(false),
  FastGelu: gelu(true),
  QuickGelu: quickGelu,
  SkipLayerNormalization: skipLayerNormalization,
  EmbedLayerNormalization: embedLayerNormalization,
  Attention: packedAttention,
  MultiHeadAttention: multiHeadAttention,
  FusedMatMul: fusedMatMul,
  TransposeMatMul: fusedMatMul,
  FusedGemm: fusedGemm,
};
