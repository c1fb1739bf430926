/** Layers that a calibration or a training left at the edge: biases must survive them. */
import { describe, expect, test } from 'vitest';
import { interpret } from '../../toolchain/emulate/interpreter.ts';
import { Lm2mcuError } from '../../toolchain/errors.ts';
import { graphBuilder } from '../../toolchain/ir/build.ts';
import type { Graph } from '../../toolchain/ir/graph.ts';
import { calibrate } from '../../toolchain/quantize/calibrate.ts';
import { quantize } from '../../toolchain/quantize/quantize.ts';

const examples = [{ ids: [0, 1, 2], segmentStart: 3 }];

/** embed → layerNorm-free linears, each with the weights, biases and function given. */
function twoLayers(first: readonly number[], second: readonly number[], bias: number) {
  const builder = graphBuilder('edge');
  const ids = builder.input('tokenIds', 'int32', ['tokens', 1]);
  const start = builder.input('segmentStart', 'int32', [1, 1]);
  const constant = (name: string, rows: number, data: readonly number[]) =>
    builder.constant(name, [rows, data.length / rows], Float32Array.from(data));
  const word = constant('word', 3, [1, -1, 2, 0.5, -1, 3]);
  const x = builder.node(
    'embedLayerNorm',
    'x',
    [
      builder.node('lookupRows', 'words', [ids, word], { index: 'token' }),
      constant('position', 3, [0, 0, 0.1, -0.1, 0.2, 0]),
      start,
      constant('segment', 1, [0, 0]),
      constant('gamma', 1, [1, 1]),
      constant('beta', 1, [0, 0]),
    ],
    { epsilon: 1e-12 },
  );
  const hidden = builder.node(
    'linear',
    'hidden',
    [x, constant('w1', 2, first), constant('b1', 1, [-100, -100])],
    {},
  );
  const relu = builder.node('activation', 'relu', [hidden], { kind: 'relu' });
  const y = builder.node(
    'linear',
    'y',
    [relu, constant('w2', 2, second), constant('b2', 1, [bias, -bias])],
    {},
  );
  return builder.finish([y]);
}

function realOutput(graph: Graph<'float'>): { float: number[]; integer: number[] } {
  const quantized = quantize(graph, calibrate(graph, examples));
  const { quant } = quantized.tensors[quantized.outputs[0]!]!;
  const scale = quant?.kind === 'affine' ? quant.scale : Number.NaN;
  return {
    float: Array.from(interpret(graph, examples[0]!)[0]!.data),
    integer: Array.from(interpret(quantized, examples[0]!)[0]!.data, (value) => value * scale),
  };
}

describe('a bias survives', () => {
  test.each([
    ['an input that calibration saw as zero only', [1, 0, 0, 1], [1, 2, 3, 4], 1.5],
    ['rows of weights that decayed', [1, 0, 0, 1], [1e-6, 1e-8, 1e-8, 1e-6], 0.5],
    ['rows of zeros', [1, 0, 0, 1], [0, 0, 0, 0], 0.013],
  ])('%s', (_name, first, second, bias) => {
    const { float, integer } = realOutput(twoLayers(first, second, bias));
    for (const [index, value] of float.entries()) {
      expect(Math.abs(integer[index]! - value)).toBeLessThan(Math.abs(bias) * 1e-3);
    }
  });
});

test('weights that have diverged are named, not looped over', () => {
  const graph = twoLayers([1e38, 1e38, 1e38, 1e38], [1e38, 1e38, 1e38, 1e38], 1);
  const huge = {
    ...graph,
    tensors: {
      ...graph.tensors,
      b1: { ...graph.tensors['b1']!, data: Float32Array.of(3e38, 3e38) },
    },
  };
  try {
    calibrate(huge, examples);
    expect.unreachable();
  } catch (error) {
    expect(error).toBeInstanceOf(Lm2mcuError);
    const { code, message, where } = (error as Lm2mcuError).details;
    expect({ code, message, where }).toMatchInlineSnapshot(`
      {
        "code": "not-finite",
        "message": "the float model computes infinity or NaN on calibration text 1",
        "where": "y",
      }
    `);
  }
});

describe('weights that are stored as integers', () => {
  const stored = (bias: number, dtype: 'int8' | 'int4', scales: readonly number[]) => {
    const graph = twoLayers([1, 2, -3, 4], [1, 0, 0, 1], bias);
    const quant = { kind: 'per-row', scales: Float64Array.from(scales) } as const;
    const w2 = { ...graph.tensors['w2']!, dtype, data: Int8Array.of(7, -2, 0, -7), quant };
    const withCodes = { ...graph, tensors: { ...graph.tensors, w2 } };
    return quantize(withCodes, calibrate(withCodes, examples)).tensors['w2']!;
  };

  test.each(['int8', 'int4'] as const)('%s: keep type, codes and scales', (dtype) => {
    const { data, quant, dtype: kept } = stored(0.1, dtype, [0.3, 1e-3]);
    expect(kept).toBe(dtype);
    expect([...data!]).toEqual([7, -2, 0, -7]);
    expect(quant).toEqual({ kind: 'per-row', scales: Float64Array.of(0.3, 1e-3) });
  });

  test('take coarser scales where the bias would leave int32', () => {
    const { data, quant, dtype } = stored(1000, 'int4', [0.3, 1e-9]);
    expect(dtype).toBe('int4');
    expect([...data!.slice(0, 2)]).toEqual([7, -2]);
    expect(data![3]).toBe(0);
    expect(quant?.kind === 'per-row' && quant.scales[1]).toBeGreaterThan(1e-9);
  });
});
