/** What formats have as one op and the primitive graph as several. */
import type { PrimitiveBuilder } from './build.ts';

/** x·W (+ bias), where absent operands are ''. */
export function addProduct(
  builder: PrimitiveBuilder,
  x: string,
  weight: string,
  bias: string,
  output?: string,
): string {
  if (bias === '') return builder.add('matmul', {}, [x, weight], output);
  const product = builder.add('matmul', {}, [x, weight]);
  return builder.add('binary', { function: 'add' }, [product, bias], output);
}

/** `sizes` elements from `begins` on, along each axis; −1 for all that are left. */
export function addWindow(
  builder: PrimitiveBuilder,
  x: string,
  begins: string,
  sizes: string,
  output?: string,
): string {
  const areAll = builder.add('binary', { function: 'less' }, [sizes, builder.integers([0])]);
  const sums = builder.add('binary', { function: 'add' }, [begins, sizes]);
  const all = builder.integers([Number.MAX_SAFE_INTEGER]);
  const ends = builder.add('where', {}, [areAll, all, sums]);
  return builder.add('slice', {}, [x, begins, ends], output);
}

export interface HeadsAttrs {
  readonly heads: number;
  /** Null: 1/√width. */
  readonly scale: number | null;
  readonly causal: boolean;
  /** Added to the scores, or true where a key is seen; '' for none. */
  readonly mask: string;
}

/** Attention of matrices (batch, tokens, heads·width), or of (batch, heads, tokens, width). */
export function addAttention(
  builder: PrimitiveBuilder,
  { heads, scale, causal, mask }: HeadsAttrs,
  operands: readonly [q: string, k: string, v: string],
  isSplit: boolean,
  output?: string,
): string {
  const split = operands.map((operand) => {
    if (isSplit) return operand;
    const shape = builder.integers([0, 0, heads, -1]);
    const wide = builder.add('reshape', { zeroCopies: true }, [operand, shape]);
    return builder.add('transpose', { order: [0, 2, 1, 3] }, [wide]);
  });
  const [q, k, v] = split as [string, string, string];
  const keys = builder.add('transpose', { order: [0, 1, 3, 2] }, [k]);
  const products = builder.add('matmul', {}, [q, keys]);
  const factor = scale === null ? inverseRootOfWidth(builder, q) : builder.float(scale);
  const scores = builder.add('binary', { function: 'multiply' }, [products, factor]);
  const seen = causal ? addCausalMask(builder, q, scores) : scores;
  const weights = builder.add('softmax', { axis: -1 }, [
    mask === '' ? seen : builder.add('attentionMask', {}, [seen, mask]),
  ]);
  if (isSplit) return builder.add('matmul', {}, [weights, v], output);
  const mixed = builder.add('matmul', {}, [weights, v]);
  const rows = builder.add('transpose', { order: [0, 2, 1, 3] }, [mixed]);
  const shape = builder.integers([0, 0, -1]);
  return builder.add('reshape', { zeroCopies: true }, [rows, shape], output);
}

function inverseRootOfWidth(builder: PrimitiveBuilder, heads: string): string {
  const width = builder.add('shape', { start: 3, end: 4 }, [heads]);
  const real = builder.add('cast', { to: 'float' }, [width]);
  return builder.add('unary', { function: 'inverseSquareRoot' }, [real]);
}

function addCausalMask(builder: PrimitiveBuilder, q: string, scores: string): string {
  const size = builder.add('shape', { start: 2, end: 3 }, [q]);
  const ends = builder.add('squeeze', {}, [size]);
  const keys = builder.add('range', {}, [builder.integers([0]), ends, builder.integers([1])]);
  const queries = builder.add('unsqueeze', {}, [keys, builder.integers([1])]);
  const isSeen = builder.add('binary', { function: 'greaterOrEqual' }, [queries, keys]);
  return builder.add('where', {}, [isSeen, scores, builder.float(Number.NEGATIVE_INFINITY)]);
}

export interface RotaryOperands {
  /** (batch, heads, tokens, width) */
  readonly x: string;
  /** (batch, tokens, width / 2), or tables whose rows `positions` names; '' for none. */
  readonly cosines: string;
  readonly sines: string;
  readonly positions: string;
}

/** x·cos + (−second half, first half)·sin. */
export function addRotary(
  builder: PrimitiveBuilder,
  { x, cosines, sines, positions }: RotaryOperands,
  output?: string,
): string {
  const half = (index: number) => builder.add('split', { axis: -1, index, count: 2 }, [x]);
  const negated = builder.add('unary', { function: 'negative' }, [half(1)]);
  const swapped = builder.add('concat', { axis: -1 }, [negated, half(0)]);
  const times = (of: string, table: string): string => {
    const rows = positions === '' ? table : builder.add('gather', { axis: 0 }, [table, positions]);
    const both = builder.add('concat', { axis: -1 }, [rows, rows]);
    const angles = builder.add('unsqueeze', {}, [both, builder.integers([1])]);
    return builder.add('binary', { function: 'multiply' }, [of, angles]);
  };
  const turned = [times(x, cosines), times(swapped, sines)];
  return builder.add('binary', { function: 'add' }, turned, output);
}

/** LayerNorm of a sum, in the operand order of its kernels. */
export function addNorm(
  builder: PrimitiveBuilder,
  addends: readonly string[],
  gamma: string,
  beta: string,
  epsilon: number,
  output?: string,
): string {
  const [first = '', ...more] = addends.filter((name) => name !== '');
  const sum = more.reduce(
    (total, next) => builder.add('binary', { function: 'add' }, [total, next]),
    first,
  );
  return builder.add('layerNorm', { axis: -1, epsilon }, [sum, gamma, beta], output);
}
