/** Integers foresee texts as well as floats do. */
import { describe, expect, test } from 'vitest';
import { foresightOf } from '../../toolchain/generate/perplexity.ts';
import { importModel } from '../../toolchain/importers/index.ts';
import { packagePath } from '../../toolchain/package-root.ts';
import { fuseTable } from '../../toolchain/passes/fuse-table.ts';
import { rowDemand } from '../../toolchain/passes/row-demand.ts';
import { calibrate } from '../../toolchain/quantize/calibrate.ts';
import { quantize } from '../../toolchain/quantize/quantize.ts';
import { makeRandom } from '../tokenizer/samples.ts';

describe.each(['gpt2', 'opt', 'llama', 'merino'])('%s', (name) => {
  test('perplexity within 1 %, on random tokens', () => {
    const { graph: imported } = importModel(packagePath('test', 'fixtures', 'decoders', name));
    const graph = rowDemand.run(imported);
    const random = makeRandom(3);
    const textsOf = (count: number) =>
      Array.from({ length: count }, () => {
        const ids = Array.from({ length: 24 }, () => 5 + random(35));
        return { ids, segmentStart: ids.length };
      });
    const integer = fuseTable(quantize(graph, calibrate(graph, textsOf(12))));
    const held = textsOf(12);
    const float = foresightOf(graph, held);
    const found = foresightOf(integer, held);
    expect(found.tokens).toBe(12 * 23);
    expect(Math.abs(found.perplexity / float.perplexity - 1)).toBeLessThan(0.01);
    const same = found.likeliest.filter((id, index) => id === float.likeliest[index]).length;
    expect(same / found.tokens).toBeGreaterThan(0.9);
  });
});

test('perplexity is that of the probabilities', () => {
  const { graph } = importModel(packagePath('test', 'fixtures', 'decoders', 'llama'));
  const zero = Object.fromEntries(
    Object.entries(graph.tensors).map(([key, tensor]) => [
      key,
      key === 'embed_tokens.weight'
        ? { ...tensor, data: new Float32Array(tensor.data!.length) }
        : tensor,
    ]),
  );
  const ids = [5, 6, 7];
  // All logits are 0: each of the 40 tokens is as likely as any other.
  const { perplexity } = foresightOf({ ...graph, tensors: zero }, [{ ids, segmentStart: 3 }]);
  expect(perplexity).toBeCloseTo(40);
});
