/** The peer in TensorFlow.js computes the model whose weights it has: it is compared with the float graph. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { interpret } from '../../toolchain/emulate/interpreter.ts';
import { importModel } from '../../toolchain/importers/index.ts';
import { type EncoderSize, writeRandomModel } from './models.ts';
import { openTfjsEncoder } from './wasm/tfjs-encoder.ts';

const size: EncoderSize = {
  ...{ layers: 2, width: 24, heads: 3, feedForward: 40, positions: 20, vocabulary: 50 },
};

test.each(['classification', 'hidden'] as const)('%s', async (output) => {
  const folder = mkdtempSync(join(tmpdir(), 'lm2mcu-tfjs-'));
  try {
    writeRandomModel(folder, size, output === 'hidden');
    const { graph } = importModel(folder);
    const ids = [2, 7, 49, 11, 23, 3];
    const values = new Map<string, ArrayLike<number>>();
    interpret(graph, { ids, segmentStart: ids.length }, (node, _, out) =>
      values.set(node.output, out.data),
    );
    // All rows of the last layer are what the classifier of tokens reads.
    const last = graph.nodes.find((node) => node.output === graph.outputs[0])!;
    const expected = values.get(output === 'hidden' ? last.inputs[0]! : graph.outputs[0]!)!;
    const run = await openTfjsEncoder(folder, size, output);
    for (const actual of [run(ids), run(ids)]) {
      expect(actual.length).toBe(expected.length);
      for (const [index, value] of actual.entries()) expect(value).toBeCloseTo(expected[index]!, 4);
    }
  } finally {
    rmSync(folder, { recursive: true });
  }
});
