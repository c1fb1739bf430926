/** A decoder's table that is its head's weight is one constant, and gives the bits that two would. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { interpret } from '../../toolchain/emulate/interpreter.ts';
import { tensorOf } from '../../toolchain/ir/graph.ts';
import { verify } from '../../toolchain/ir/verify.ts';
import { fuseTable } from '../../toolchain/passes/fuse-table.ts';
import { reorderVocabulary } from '../../toolchain/passes/reorder-vocabulary.ts';
import { tieTables } from '../../toolchain/passes/tie-tables.ts';
import { calibrate } from '../../toolchain/quantize/calibrate.ts';
import { narrowWeights } from '../../toolchain/quantize/narrow-weights.ts';
import { quantize } from '../../toolchain/quantize/quantize.ts';
import { type DecoderShape, decoderShapes, floatDecoder, randomIds } from '../schedule/decoders.ts';

const numRuns = Number(process.env['LM2MCU_PROPERTY_RUNS'] ?? 6);

/** Tokens in another order, some of them left out. */
function orderOf({ vocabulary, seed }: DecoderShape): Int32Array {
  const kept = Math.max(1, vocabulary - (seed % 3));
  return Int32Array.from({ length: kept }, (_, id) => kept - 1 - id);
}

test.each([false, true])('tied tables, weights of seven bits: %s', (isNarrow) => {
  const property = fc.property(decoderShapes, (shape) => {
    const order = orderOf(shape);
    const whole = floatDecoder({ ...shape, cache: { kind: 'full' } });
    const imported = reorderVocabulary(whole, order);
    const float = isNarrow ? narrowWeights(imported) : imported;
    const tokens = (length: number) => {
      const ids = randomIds({ ...shape, vocabulary: order.length }, length);
      return { ids, segmentStart: ids.length };
    };
    const quantized = fuseTable(quantize(float, calibrate(float, [tokens(shape.maxTokens)])));
    const tied = tieTables(quantized);
    verify(tied);
    const head = tied.nodes.find(({ output }) => output === tied.outputs[0])!;
    const words = tied.nodes.find(({ inputs }) => inputs[0] === 'tokenIds')!;
    const isTied = shape.seed % 2 === 0 && !isNarrow;
    expect(words.op).toBe(isTied ? 'weightRows' : 'lookupRows');
    expect(words.inputs[1] === head.inputs[1]).toBe(isTied);
    expect(tensorOf(tied, words.inputs[1]!).shape[0]).toBe(order.length);
    for (const length of [1, shape.maxTokens]) {
      expect(interpret(tied, tokens(length))).toEqual(interpret(quantized, tokens(length)));
    }
  });
  fc.assert(property, { numRuns });
});
