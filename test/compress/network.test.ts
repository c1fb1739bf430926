/** The tensor expression of a float graph against the interpreter, and its gradients. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { networkOutputs } from '../../toolchain/compress/measure.ts';
import { measureSensitivity } from '../../toolchain/compress/sensitivity.ts';
import { embeddingTables, type TokenText } from '../../toolchain/compress/texts.ts';
import { interpret } from '../../toolchain/emulate/interpreter.ts';
import { rowDemand } from '../../toolchain/passes/row-demand.ts';
import { storedAs } from '../ir/stored-weights.ts';
import {
  type EncoderShape,
  encoderShapes,
  importedEncoder,
  randomTokens,
} from '../schedule/encoders.ts';

const runs = Number(process.env['LM2MCU_PROPERTY_RUNS'] ?? 8);
/** What is searched is not compressed yet. */
const plain = { wordTable: null, positionTable: null, storages: [storedAs.float32] } as const;
const nothing = async (): Promise<void> => {};

function textsOf(shape: EncoderShape, lengths: readonly number[]): readonly TokenText[] {
  return lengths.map((length) => {
    const { ids, segmentStart } = randomTokens(shape, Math.min(length, shape.maxTokens));
    return { ids: Int32Array.from(ids), segmentStart, label: null };
  });
}

const lengthLists = fc.array(fc.integer({ min: 1, max: 70 }), { minLength: 1, maxLength: 5 });

test('many texts at once give what the interpreter gives one by one', async () => {
  await fc.assert(
    fc.asyncProperty(encoderShapes, lengthLists, async (shape, lengths) => {
      const graph = rowDemand.run(importedEncoder({ ...shape, ...plain }));
      const texts = textsOf(shape, lengths);
      const { rows } = await networkOutputs(graph, texts, new Map(), nothing);
      for (const [index, text] of texts.entries()) {
        const [expected] = interpret(graph, text);
        expect(rows[index]!.length).toBe(expected!.data.length);
        for (const [at, value] of expected!.data.entries()) {
          // Two orders of float32 sums.
          expect(Math.abs(rows[index]![at]! - value)).toBeLessThan(1e-3);
        }
      }
    }),
    { numRuns: runs, seed: 1 },
  );
}, 60_000);

/** With one output the only sign is ±1, so that |g|² is that of the output itself. */
test('sensitivities are squared differences of the outputs, by token and by position', async () => {
  const shape: EncoderShape = {
    ...{ layers: 2, heads: 2, headWidth: 5, ffn: 9, activation: 'gelu', head: 'pooled' },
    ...{ outputs: 1, vocabulary: 6, maxTokens: 4, seed: 5 },
    ...plain,
  };
  const graph = rowDemand.run(importedEncoder(shape));
  const text: TokenText = { ids: Int32Array.of(1, 4, 2), segmentStart: 3, label: null };
  const tables = embeddingTables(graph);
  const measured = await measureSensitivity(graph, tables, [text], nothing);
  expect([...measured.tokens.counts]).toEqual([0, 1, 1, 0, 1, 0]);
  expect([...measured.positions.counts]).toEqual([1, 1, 1, 0]);
  const step = 1e-2;
  let trace = 0;
  for (const [position, id] of text.ids.entries()) {
    let squares = 0;
    for (let column = 0; column < tables.word.width; column++) {
      const at = (difference: number): number => {
        const values = tables.word.values.slice();
        values[id * tables.word.width + column]! += difference;
        const word = { ...graph.tensors[tables.word.name]!, data: values };
        const changed = { ...graph, tensors: { ...graph.tensors, [tables.word.name]: word } };
        return interpret(changed, text)[0]!.data[0]!;
      };
      squares += ((at(step) - at(-step)) / (2 * step)) ** 2;
    }
    expect(measured.tokens.squares[id]! / squares).toBeCloseTo(1, 1);
    expect(measured.positions.squares[position]).toBeCloseTo(measured.tokens.squares[id]!, 5);
    trace += measured.tokens.squares[id]!;
  }
  const { width } = tables.word;
  const diagonal = Array.from({ length: width }, (_, k) => measured.metric[k * width + k]!);
  expect(diagonal.reduce((a, b) => a + b)).toBeCloseTo(trace, 3);
});
