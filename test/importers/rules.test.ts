/** Small graphs and what the recognizer makes of them, in `rules.txt` (BLESS=1 rewrites it). */
import { readFileSync, writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { formatError, Lm2mcuError } from '../../toolchain/errors.ts';
import {
  type PrimitiveBuilder,
  primitiveBuilder,
} from '../../toolchain/importers/primitive/build.ts';
import { addAttention } from '../../toolchain/importers/primitive/compose.ts';
import type { BinaryName, UnaryName } from '../../toolchain/importers/primitive/elementwise.ts';
import { arrayFor, knownValue } from '../../toolchain/importers/primitive/value.ts';
import { emitSource } from '../../toolchain/importers/recognize/emit.ts';
import { outputOf } from '../../toolchain/importers/recognize/output.ts';
import { recognize } from '../../toolchain/importers/recognize/recognize.ts';
import { rules } from '../../toolchain/importers/recognize/rules.ts';
import { graphBuilder } from '../../toolchain/ir/build.ts';
import { printGraph } from '../../toolchain/ir/text.ts';
import { verify } from '../../toolchain/ir/verify.ts';
import { packagePath } from '../../toolchain/package-root.ts';

const width = 4;
const tokens = 5;

/** What examples are written with. `x`: (1, tokens, width), rows of an embedding. */
interface Sketch {
  readonly builder: PrimitiveBuilder;
  readonly x: string;
  matrix(...shape: readonly number[]): string;
  number(value: number): string;
  one(name: UnaryName, x: string): string;
  two(name: BinaryName, a: string, b: string): string;
  /** Over the last axis. */
  mean(x: string): string;
}

type Example = (sketch: Sketch) => string;

function sketch(builder: PrimitiveBuilder): Sketch {
  let seed = 1;
  const matrix = (...shape: readonly number[]): string => {
    const size = shape.reduce((product, one) => product * one, 1);
    const elements = Array.from({ length: size }, () => Math.fround(((seed++ * 37) % 19) / 8 - 1));
    return builder.constant(knownValue('float', shape, arrayFor('float', elements)));
  };
  builder.enter('embed', 'Gather');
  const x = builder.add('gather', { axis: 0 }, [matrix(6, width), 'input_ids']);
  builder.enter('layer', 'Op');
  return {
    ...{ builder, x, matrix },
    number: (value) => builder.float(value),
    one: (name, of) => builder.add('unary', { function: name }, [of]),
    two: (name, a, b) => builder.add('binary', { function: name }, [a, b]),
    mean: (of) =>
      builder.add('reduce', { kind: 'mean', keepAxes: true }, [of, builder.integers([-1])]),
  };
}

const linear = ({ builder, x, matrix, two }: Sketch, columns = width): string =>
  two('add', builder.add('matmul', {}, [x, matrix(width, columns)]), matrix(columns));

/** x·cos + (−x₂, x₁)·sin of one head, whose slower pair turns by `frequency` a position. */
function rotated({ builder, one, two }: Sketch, x: string, frequency = 0.1): string {
  const table = (of: (angle: number) => number): string => {
    const angles = Array.from({ length: tokens * width }, (_, index) =>
      of(Math.floor(index / width) * [1, frequency][index % 2]!),
    );
    const shape = [1, tokens, width];
    return builder.constant(knownValue('float', shape, arrayFor('float', angles)));
  };
  const half = (index: number) => builder.add('split', { axis: -1, index, count: 2 }, [x]);
  const swapped = builder.add('concat', { axis: -1 }, [one('negative', half(1)), half(0)]);
  return two('add', two('multiply', x, table(Math.cos)), two('multiply', swapped, table(Math.sin)));
}

/** Softmax attention of one head; `hides`: which keys a token does not see. */
function attend(
  { builder, two }: Sketch,
  [q, k, v]: readonly [string, string, string],
  hides: (distance: number) => boolean = () => false,
): string {
  const mask = Array.from({ length: tokens * tokens }, (_, index) =>
    hides(Math.abs((index % tokens) - Math.floor(index / tokens))) ? -1e9 : 0,
  );
  const scores = builder.add('matmul', {}, [q, builder.add('swapLastAxes', {}, [k])]);
  const masked = two(
    'add',
    scores,
    builder.constant(knownValue('float', [tokens, tokens], arrayFor('float', mask))),
  );
  return builder.add('matmul', {}, [builder.add('softmax', { axis: -1 }, [masked]), v]);
}

/** Rows from `first` on, one less than all, with a row of zeros behind or before them. */
function shifted({ builder, x }: Sketch, by: 1 | -1): string {
  const range = by === 1 ? [1, tokens] : [0, tokens - 1];
  const [start, end, axis] = [...range, 1].map((one) => builder.integers([one!]));
  const rows = builder.add('slice', {}, [x, start!, end!, axis!]);
  const pads = builder.integers(by === 1 ? [0, 0, 0, 0, 1, 0] : [0, 1, 0, 0, 0, 0]);
  return builder.add('pad', {}, [rows, pads, builder.float(0)]);
}

const besideNeighbours = (s: Sketch): string =>
  s.builder.add('concat', { axis: -1 }, [shifted(s, 1), s.x, shifted(s, -1)]);

/** x·c + β, a number for each column. */
const scaledByColumn = (s: Sketch, x: string): string =>
  s.two('add', s.two('multiply', x, s.matrix(width)), s.matrix(width));

const norm = ({ builder, matrix }: Sketch, x: string): string =>
  builder.add('layerNorm', { axis: -1, epsilon: 1e-5 }, [x, matrix(width), matrix(width)]);

const examples: Readonly<Record<string, Example>> = {
  'x·W + b': (s) => linear(s),
  'b + (1, W·x) without a batch, by einsum': (s) => {
    const product = s.builder.add('einsum', { equation: 'abc,cde->abde' }, [
      s.x,
      s.matrix(width, 2, 3),
    ]);
    const sum = s.two('add', s.matrix(2, 3), product);
    return s.builder.add('reshape', { zeroCopies: true }, [sum, s.builder.integers([0, 0, 6])]);
  },
  'a product that is halved has halved weights': (s) => {
    const half = s.two('multiply', linear(s), s.number(0.5));
    return s.two('add', half, s.x);
  },
  'columns of one product, in another order, are products of their own': (s) => {
    const wide = linear(s, 6);
    const part = (index: number) => s.builder.add('split', { axis: -1, index, count: 3 }, [wide]);
    return s.two('add', part(2), part(0));
  },
  'LayerNorm in pieces, divided by its deviation': (s) => {
    const centered = s.two('subtract', s.x, s.mean(s.x));
    const variance = s.mean(s.two('power', centered, s.number(2)));
    const deviation = s.one('squareRoot', s.two('add', variance, s.number(Math.fround(1e-12))));
    const normal = s.two('divide', centered, deviation);
    return s.two('add', s.two('multiply', normal, s.matrix(width)), s.matrix(width));
  },
  'LayerNorm as TensorFlow has it, x·s + (beta − mean·s)': (s) => {
    const mean = s.mean(s.x);
    const variance = s.mean(s.two('squaredDifference', s.x, mean));
    const inverse = s.one('inverseSquareRoot', s.two('add', variance, s.number(1e-6)));
    const scale = s.two('multiply', inverse, s.matrix(width));
    const shift = s.two('subtract', s.matrix(width), s.two('multiply', mean, scale));
    return s.two('add', s.two('multiply', s.x, scale), shift);
  },
  'LayerNorm of mean(x²) − mean²': (s) => {
    const mean = s.mean(s.x);
    const squares = s.mean(s.two('multiply', s.x, s.x));
    const variance = s.two('subtract', squares, s.two('multiply', mean, mean));
    const power = s.two('power', s.two('add', variance, s.number(1e-5)), s.number(-0.5));
    return s.two('multiply', s.two('subtract', s.x, mean), power);
  },
  'LayerNorm as Keras has it, x·s + (−mean·s + beta)': (s) => {
    const mean = s.mean(s.x);
    const variance = s.mean(s.two('squaredDifference', s.x, mean));
    const inverse = s.one('inverseSquareRoot', s.two('add', variance, s.number(1e-6)));
    const scale = s.two('multiply', inverse, s.matrix(width));
    const shift = s.two('add', s.two('multiply', s.one('negative', mean), scale), s.matrix(width));
    return s.two('add', s.two('multiply', s.x, scale), shift);
  },
  'ids counted from the end where they are negative, as tf2onnx writes it': ({ builder, ...s }) => {
    const ids = 'input_ids';
    const isNegative = s.two('less', builder.add('cast', { to: 'float' }, [ids]), s.number(0));
    const mask = builder.add('cast', { to: 'int' }, [isNegative]);
    const others = builder.add('cast', { to: 'int' }, [s.one('not', isNegative)]);
    const fromEnd = s.two('add', ids, builder.integers([6]));
    const chosen = s.two('add', s.two('multiply', mask, fromEnd), s.two('multiply', ids, others));
    return builder.add('gather', { axis: 0 }, [s.matrix(6, width), chosen]);
  },
  'a norm whose epsilon is negative': (s) => {
    const centered = s.two('subtract', s.x, s.mean(s.x));
    const variance = s.mean(s.two('power', centered, s.number(2)));
    const deviation = s.one('squareRoot', s.two('add', variance, s.number(-1)));
    return s.two('divide', centered, deviation);
  },
  'GELU by erf': (s) => {
    const y = linear(s);
    const erf = s.one('errorFunction', s.two('divide', y, s.number(Math.SQRT2)));
    return s.two('multiply', s.two('multiply', y, s.number(0.5)), s.two('add', erf, s.number(1)));
  },
  'GELU by erfc': (s) => {
    const y = linear(s);
    const scaled = s.two('multiply', s.one('negative', y), s.number(Math.SQRT1_2));
    const half = s.two('multiply', s.number(0.5), s.one('complementaryErrorFunction', scaled));
    return s.two('multiply', half, y);
  },
  'GELU by tanh': (s) => {
    const y = linear(s);
    const cube = s.two('multiply', s.number(0.044715), s.two('power', y, s.number(3)));
    const inner = s.two('multiply', s.two('add', y, cube), s.number(Math.sqrt(2 / Math.PI)));
    const gate = s.two('add', s.number(1), s.one('hyperbolicTangent', inner));
    return s.two('multiply', s.two('multiply', y, gate), s.number(0.5));
  },
  'ReLU as a maximum': (s) => s.two('maximum', s.number(0), linear(s)),
  'attention of two heads': (s) =>
    addAttention(
      s.builder,
      { heads: 2, scale: null, causal: false, mask: '' },
      [linear(s), linear(s), linear(s)],
      false,
    ),
  'attention whose scores are keys by queries, as tf2onnx writes it': (s) => {
    const [q, k, v] = [linear(s), linear(s), linear(s)];
    const swapped = (x: string) => s.builder.add('swapLastAxes', {}, [x]);
    const scores = s.builder.add('matmul', {}, [k, swapped(q)]);
    const weights = s.builder.add('softmax', { axis: 1 }, [scores]);
    return s.builder.add('matmul', {}, [swapped(weights), v]);
  },
  'weights that are keys by queries: no op': (s) => {
    const [q, k, v] = [linear(s), linear(s), linear(s)];
    const scores = s.builder.add('matmul', {}, [k, s.builder.add('swapLastAxes', {}, [q])]);
    return s.builder.add('matmul', {}, [s.builder.add('softmax', { axis: 1 }, [scores]), v]);
  },
  'attention with the mask of a decoder': (s) =>
    addAttention(
      s.builder,
      { heads: 1, scale: 0.25, causal: true, mask: '' },
      [linear(s), linear(s), linear(s)],
      false,
    ),
  'rotary positions of base 100, halved, and attention to neighbours': (s) => {
    const q = s.two('multiply', rotated(s, linear(s)), s.number(0.5));
    return attend(s, [q, rotated(s, linear(s)), linear(s)], (distance) => distance > 2);
  },
  'queries that are turned, and keys that are not: no op': (s) =>
    attend(s, [rotated(s, linear(s)), linear(s), linear(s)]),
  'turned columns in another order: no op': (s) => {
    const [q, k] = [rotated(s, linear(s)), rotated(s, linear(s))].map((x) => {
      const half = (index: number) => s.builder.add('split', { axis: -1, index, count: 2 }, [x]);
      return s.builder.add('concat', { axis: -1 }, [half(1), half(0)]);
    }) as [string, string];
    return attend(s, [q, k, linear(s)]);
  },
  'neighbours that one token sees and another does not: no op': (s) =>
    attend(s, [linear(s), linear(s), linear(s)], (distance) => distance === 1),
  'angles of no base: no op': (s) => {
    const turned = () => rotated(s, rotated(s, linear(s), -0.1));
    return attend(s, [turned(), turned(), linear(s)]);
  },
  'a gate of halves of one product': (s) => {
    const wide = linear(s, 6);
    const half = (index: number) => s.builder.add('split', { axis: -1, index, count: 2 }, [wide]);
    return s.two('multiply', s.builder.add('gelu', { tanh: false }, [half(0)]), half(1));
  },
  'a gate whose factor comes behind its product': (s) => {
    const half = () =>
      s.two('multiply', s.builder.add('matmul', {}, [s.x, s.matrix(width, 3)]), s.number(0.5));
    return s.two('multiply', half(), s.builder.add('gelu', { tanh: false }, [half()]));
  },
  'sums of sums behind a norm: the norm is made for the stream and for products': (s) => {
    const first = norm(s, s.x);
    const product = (x: string) =>
      s.two('add', s.builder.add('matmul', {}, [x, s.matrix(width, width)]), s.matrix(width));
    const second = s.two('add', first, product(first));
    const third = s.two('add', second, product(norm(s, second)));
    return norm(s, third);
  },
  'sums of sums that a product reads: no stream': (s) => {
    const first = s.two('add', linear(s), s.x);
    const second = s.two('add', linear({ ...s, x: first }), first);
    return linear({ ...s, x: second });
  },
  'the mean over a mask of ones': (s) => {
    const over = (x: string) =>
      s.builder.add('reduce', { kind: 'sum', keepAxes: false }, [x, s.builder.integers([1])]);
    const mask = s.builder.add('unsqueeze', {}, ['attention_mask', s.builder.integers([-1])]);
    const real = s.builder.add('cast', { to: 'float' }, [mask]);
    return s.two('divide', over(s.two('multiply', s.x, real)), over(real));
  },
  'the first row': (s) => {
    const first = s.builder.add('gather', { axis: 1 }, [s.x, s.builder.integers([0])]);
    return s.builder.add('squeeze', {}, [first, s.builder.integers([1])]);
  },
  'segments by one-hot rows, positions of a table, a row for all': (s) => {
    const values = s.builder.list('float', [0, 1]);
    const depth = s.builder.integers([2]);
    const hot = s.builder.add('oneHot', { axis: -1 }, ['token_type_ids', depth, values]);
    const segments = s.builder.add('matmul', {}, [hot, s.matrix(2, width)]);
    const positions = s.builder.add('slice', {}, [
      ...[s.matrix(9, width), s.builder.integers([1]), s.builder.integers([1 + tokens])],
    ]);
    return s.two('add', s.two('add', s.two('add', s.x, segments), positions), s.matrix(width));
  },
  'tokens beside their neighbours, in a product, with positions and segments, scaled by column': (
    s,
  ) => {
    const product = s.builder.add('matmul', {}, [besideNeighbours(s), s.matrix(3 * width, width)]);
    const positions = s.builder.add('slice', {}, [
      ...[s.matrix(9, width), s.builder.integers([0]), s.builder.integers([tokens])],
    ]);
    const segments = s.builder.add('gather', { axis: 0 }, [s.matrix(2, width), 'token_type_ids']);
    const biased = s.two('add', product, s.matrix(width));
    return scaledByColumn(s, s.two('add', s.two('add', biased, positions), segments));
  },
  'a product, and a product and a residual, scaled by column': (s) => {
    const residual = scaledByColumn(s, linear(s));
    return scaledByColumn(s, s.two('add', linear({ ...s, x: residual }), residual));
  },
  'neighbours in another order: no op': (s) =>
    s.builder.add('concat', { axis: -1 }, [shifted(s, -1), s.x, shifted(s, 1)]),
  'two activations multiplied: no op': (s) => s.two('multiply', linear(s), linear(s)),
  'a bias by distance on the scores: no op': (s) => {
    const [q, k] = [linear(s), s.builder.add('swapLastAxes', {}, [linear(s)])];
    return s.two('add', s.builder.add('matmul', {}, [q, k]), s.matrix(tokens, tokens));
  },
  'a function that is none of ours: no op': (s) =>
    s.builder.add('matmul', {}, [s.one('sine', linear(s)), s.matrix(width, 2)]),
  'an op that is not known': (s) =>
    s.two('add', s.builder.add('opaque', { what: 'Scan' }, [s.x]), s.x),
};

function resultOf(example: Example): string {
  const builder = primitiveBuilder();
  const output = example(sketch(builder));
  const input = (name: string) => ({ name, type: 'int' as const, shape: [1, null] });
  const graph = builder.finish({
    format: 'test',
    inputs: ['input_ids', 'attention_mask', 'token_type_ids'].map(input),
    outputs: [output],
  });
  const roles = new Map([
    ['input_ids', 'token'],
    ['attention_mask', 'mask'],
    ['token_type_ids', 'segment'],
  ] as const);
  try {
    const recognized = recognize(graph, { tokens, roles });
    const { source } = outputOf(graph, recognized, 'model', tokens);
    const made = graphBuilder('rule');
    const emitted = emitSource(made, source, { vocabulary: 6, positions: 512 });
    const built = made.finish([emitted.output]);
    verify(built);
    return printGraph(built);
  } catch (error) {
    if (!(error instanceof Lm2mcuError)) throw error;
    return formatError(error.details);
  }
}

test('every example becomes what rules.txt says', () => {
  const formulas = rules.map(({ formula, ops }) => `; ${formula}   (${ops.join(', ')})`);
  const results = Object.entries(examples).map(
    ([name, example]) => `# ${name}\n${resultOf(example).trimEnd()}\n`,
  );
  const text = `; The rules, in the order in which they are tried\n${formulas.join('\n')}\n\n${results.join('\n')}`;
  const file = packagePath('test/importers/rules.txt');
  if (process.env['BLESS'] === '1') writeFileSync(file, text);
  expect(text).toBe(readFileSync(file, 'utf8'));
});

test('every rule has a formula of its own', () => {
  expect(new Set(rules.map(({ formula }) => formula)).size).toBe(rules.length);
});
