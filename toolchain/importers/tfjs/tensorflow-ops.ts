/** Ops of TensorFlow graphs as primitives. */
import type { PrimitiveBuilder } from '../primitive/build.ts';
import { addWindow } from '../primitive/compose.ts';
import type { BinaryName, UnaryName } from '../primitive/elementwise.ts';
import type { ReduceKind } from '../primitive/graph.ts';
import { integers, listOf, scalar, type Value } from '../primitive/value.ts';
import type { TfNode } from './schema.ts';

export interface TfContext {
  readonly node: TfNode;
  readonly builder: PrimitiveBuilder;
  /** Names of the operands, without control inputs. */
  readonly inputs: readonly string[];
  /** The name of output `index`. */
  output(index?: number): string;
  /** The constant of that name, if it is one. */
  constant(name: string): Value | undefined;
}

export type TfConverter = (context: TfContext) => void;

const unary =
  (name: UnaryName): TfConverter =>
  ({ builder, inputs, output }) => {
    builder.add('unary', { function: name }, [inputs[0]!], output());
  };

const binary =
  (name: BinaryName): TfConverter =>
  ({ builder, inputs, output }) => {
    builder.add('binary', { function: name }, [inputs[0]!, inputs[1]!], output());
  };

const reduce =
  (kind: ReduceKind): TfConverter =>
  ({ node, builder, inputs, output }) => {
    builder.add('reduce', { kind, keepAxes: node.attr.keep_dims?.b === true }, inputs, output());
  };

const identity: TfConverter = ({ builder, inputs, output }) => {
  builder.add('identity', {}, [inputs[0]!], output());
};

function opaque({ node, builder, inputs, output }: TfContext): void {
  builder.add('opaque', { what: node.op }, inputs, output());
}

function firstInteger(value: Value | undefined): number | undefined {
  return value === undefined ? undefined : listOf(value)[0];
}

const types: Readonly<Record<string, 'float' | 'int' | 'bool'>> = {
  ...{ DT_FLOAT: 'float', DT_HALF: 'float', DT_DOUBLE: 'float', DT_BFLOAT16: 'float' },
  ...{ DT_INT32: 'int', DT_INT64: 'int', DT_UINT8: 'int', DT_INT8: 'int', DT_BOOL: 'bool' },
};

export function elementTypeOf(type: string | number | undefined): 'float' | 'int' | 'bool' {
  // By number in old files: 1 is float, 3 int32, 9 int64, 10 bool.
  if (type === 10) return 'bool';
  if (type === 3 || type === 9) return 'int';
  return types[String(type)] ?? 'float';
}

/** Flags are about the last two axes. */
function product(
  { node, builder, inputs }: TfContext,
  flags: readonly [a: string, b: string],
  output?: string,
): string {
  const operands = flags.map((flag, index) =>
    node.attr[flag]?.b === true
      ? builder.add('swapLastAxes', {}, [inputs[index]!])
      : inputs[index]!,
  );
  return builder.add('matmul', {}, operands, output);
}

const fusedMatMul: TfConverter = (context) => {
  const { node, builder, inputs, output } = context;
  const fused = (node.attr.fused_ops?.list?.s ?? []).map(decodeText);
  let x = product(context, ['transpose_a', 'transpose_b']);
  for (const name of fused) {
    if (name === 'BiasAdd') x = builder.add('binary', { function: 'add' }, [x, inputs[2]!]);
    else if (Object.hasOwn(activations, name)) x = activations[name]!(builder, x);
    else {
      opaque(context);
      return;
    }
  }
  builder.add('identity', {}, [x], output());
};

const activations: Readonly<Record<string, (builder: PrimitiveBuilder, x: string) => string>> = {
  Relu: (builder, x) => builder.add('unary', { function: 'relu' }, [x]),
  Relu6: (builder, x) => builder.add('unary', { function: 'relu6' }, [x]),
  Tanh: (builder, x) => builder.add('unary', { function: 'hyperbolicTangent' }, [x]),
  Sigmoid: (builder, x) => builder.add('unary', { function: 'sigmoid' }, [x]),
  GeluExact: (builder, x) => builder.add('gelu', { tanh: false }, [x]),
  GeluApproximate: (builder, x) => builder.add('gelu', { tanh: true }, [x]),
};

function decodeText(base64: string): string {
  return Buffer.from(base64, 'base64').toString('utf8');
}

const stack: TfConverter = ({ node, builder, inputs, output }) => {
  const axis = node.attr.axis?.i ?? 0;
  const axes = builder.integers([axis]);
  const parts = inputs.map((input) => builder.add('unsqueeze', {}, [input, axes]));
  builder.add('concat', { axis }, parts, output());
};

const concat: TfConverter = (context) => {
  const { builder, inputs, output, constant } = context;
  const axis = firstInteger(constant(inputs.at(-1)!));
  if (axis === undefined) opaque(context);
  else builder.add('concat', { axis }, inputs.slice(0, -1), output());
};

const gather: TfConverter = (context) => {
  const { node, builder, inputs, output, constant } = context;
  const axis = inputs[2] === undefined ? 0 : firstInteger(constant(inputs[2]));
  if (axis === undefined || (node.attr.batch_dims?.i ?? 0) !== 0) opaque(context);
  else builder.add('gather', { axis }, [inputs[0]!, inputs[1]!], output());
};

const split =
  (axisInput: number, xInput: number, sizesInput: number | null): TfConverter =>
  (context) => {
    const { node, builder, inputs, output, constant } = context;
    const axis = firstInteger(constant(inputs[axisInput]!));
    const count = node.attr.num_split?.i ?? 0;
    if (axis === undefined || count < 1 || count > maxParts) {
      opaque(context);
      return;
    }
    const operands =
      sizesInput === null ? [inputs[xInput]!] : [inputs[xInput]!, inputs[sizesInput]!];
    for (let index = 0; index < count; index++) {
      builder.add('split', { axis, index, count }, operands, output(index));
    }
  };

const maxParts = 1024;

const unpack: TfConverter = (context) => {
  const { node, builder, inputs, output } = context;
  const axis = node.attr.axis?.i ?? 0;
  const count = node.attr.num?.i ?? 0;
  if (count < 1 || count > maxParts) opaque(context);
  for (let index = 0; index < Math.min(count, maxParts); index++) {
    const at = builder.constant(scalar('int', index));
    builder.add('gather', { axis }, [inputs[0]!, at], output(index));
  }
};

/** Sizes of −1 go to the end. */
const slice: TfConverter = ({ builder, inputs, output }) => {
  addWindow(builder, inputs[0]!, inputs[1]!, inputs[2]!, output());
};

const oneHot: TfConverter = ({ node, builder, inputs, output }) => {
  const axes = builder.integers([0]);
  const [on, off] = [inputs[2]!, inputs[3]!].map((name) =>
    builder.add('unsqueeze', {}, [name, axes]),
  ) as [string, string];
  const values = builder.add('concat', { axis: 0 }, [off, on]);
  const operands = [inputs[0]!, inputs[1]!, values];
  builder.add('oneHot', { axis: node.attr.axis?.i ?? -1 }, operands, output());
};

const squeeze: TfConverter = ({ node, builder, inputs, output }) => {
  const axes = node.attr.squeeze_dims?.list?.i ?? node.attr.axis?.list?.i ?? [];
  const operands =
    axes.length === 0 ? [inputs[0]!] : [inputs[0]!, builder.constant(integers(axes))];
  builder.add('squeeze', {}, operands, output());
};

const stridedSlice: TfConverter = ({ node, builder, inputs, output }) => {
  const mask = (name: string): number => node.attr[name]?.i ?? 0;
  const attrs = {
    beginMask: mask('begin_mask'),
    endMask: mask('end_mask'),
    ellipsisMask: mask('ellipsis_mask'),
    newAxisMask: mask('new_axis_mask'),
    shrinkAxisMask: mask('shrink_axis_mask'),
  };
  builder.add('stridedSlice', attrs, inputs, output());
};

const filled =
  (value: number): TfConverter =>
  ({ node, builder, inputs, output }) => {
    const shape = builder.add('shape', { start: 0, end: Number.MAX_SAFE_INTEGER }, [inputs[0]!]);
    const type = elementTypeOf(node.attr.T?.type);
    builder.add('fill', {}, [shape, builder.constant(scalar(type, value))], output());
  };

export const tensorflowOps: Readonly<Record<string, TfConverter>> = {
  Identity: identity,
  StopGradient: identity,
  PreventGradient: identity,
  CheckNumerics: identity,
  AddV2: binary('add'),
  Add: binary('add'),
  BiasAdd: binary('add'),
  Sub: binary('subtract'),
  Mul: binary('multiply'),
  RealDiv: binary('divide'),
  Div: binary('divide'),
  FloorDiv: binary('floorDivide'),
  FloorMod: binary('modulo'),
  Pow: binary('power'),
  Maximum: binary('maximum'),
  Minimum: binary('minimum'),
  SquaredDifference: binary('squaredDifference'),
  Equal: binary('equal'),
  NotEqual: binary('notEqual'),
  Less: binary('less'),
  LessEqual: binary('lessOrEqual'),
  Greater: binary('greater'),
  GreaterEqual: binary('greaterOrEqual'),
  LogicalAnd: binary('and'),
  LogicalOr: binary('or'),
  LogicalNot: unary('not'),
  Neg: unary('negative'),
  Abs: unary('absolute'),
  Exp: unary('exponential'),
  Log: unary('logarithm'),
  Sqrt: unary('squareRoot'),
  Rsqrt: unary('inverseSquareRoot'),
  Reciprocal: unary('reciprocal'),
  Inv: unary('reciprocal'),
  Square: unary('square'),
  Erf: unary('errorFunction'),
  Erfc: unary('complementaryErrorFunction'),
  Tanh: unary('hyperbolicTangent'),
  Sigmoid: unary('sigmoid'),
  Relu: unary('relu'),
  Relu6: unary('relu6'),
  Sin: unary('sine'),
  Cos: unary('cosine'),
  Floor: unary('floor'),
  IsNan: unary('isNaN'),
  Cast: ({ node, builder, inputs, output }) => {
    builder.add('cast', { to: elementTypeOf(node.attr.DstT?.type) }, [inputs[0]!], output());
  },
  Select: ({ builder, inputs, output }) => {
    builder.add('where', {}, inputs, output());
  },
  SelectV2: ({ builder, inputs, output }) => {
    builder.add('where', {}, inputs, output());
  },
  MatMul: (context) => {
    product(context, ['transpose_a', 'transpose_b'], context.output());
  },
  BatchMatMul: (context) => {
    product(context, ['adj_x', 'adj_y'], context.output());
  },
  BatchMatMulV2: (context) => {
    product(context, ['adj_x', 'adj_y'], context.output());
  },
  _FusedMatMul: fusedMatMul,
  Einsum: ({ node, builder, inputs, output }) => {
    builder.add('einsum', { equation: decodeText(node.attr.equation?.s ?? '') }, inputs, output());
  },
  Softmax: ({ builder, inputs, output }) => {
    builder.add('softmax', { axis: -1 }, [inputs[0]!], output());
  },
  Transpose: ({ builder, inputs, output }) => {
    builder.add('transpose', { order: null }, [inputs[0]!, inputs[1]!], output());
  },
  Reshape: ({ builder, inputs, output }) => {
    builder.add('reshape', { zeroCopies: false }, [inputs[0]!, inputs[1]!], output());
  },
  ExpandDims: ({ builder, inputs, output }) => {
    builder.add('unsqueeze', {}, [inputs[0]!, inputs[1]!], output());
  },
  Squeeze: squeeze,
  BroadcastTo: ({ builder, inputs, output }) => {
    builder.add('expand', {}, [inputs[0]!, inputs[1]!], output());
  },
  Tile: ({ builder, inputs, output }) => {
    builder.add('tile', {}, [inputs[0]!, inputs[1]!], output());
  },
  Pack: stack,
  Unpack: unpack,
  ConcatV2: concat,
  Split: split(0, 1, null),
  SplitV: split(2, 0, 1),
  Slice: slice,
  StridedSlice: stridedSlice,
  GatherV2: gather,
  Gather: gather,
  GatherNd: ({ builder, inputs, output }) => {
    builder.add('gatherNd', {}, inputs, output());
  },
  Shape: ({ builder, inputs, output }) => {
    builder.add('shape', { start: 0, end: Number.MAX_SAFE_INTEGER }, [inputs[0]!], output());
  },
  Range: ({ builder, inputs, output }) => {
    builder.add('range', {}, inputs, output());
  },
  Fill: ({ builder, inputs, output }) => {
    builder.add('fill', {}, inputs, output());
  },
  ZerosLike: filled(0),
  OnesLike: filled(1),
  OneHot: oneHot,
  Cumsum: (context) => {
    const { node, builder, inputs, output } = context;
    if (node.attr.exclusive?.b === true || node.attr.reverse?.b === true) opaque(context);
    else builder.add('cumsum', {}, inputs, output());
  },
  Mean: reduce('mean'),
  Sum: reduce('sum'),
  Max: reduce('max'),
  Min: reduce('min'),
  Prod: reduce('product'),
  All: reduce('min'),
  Any: reduce('max'),
};
