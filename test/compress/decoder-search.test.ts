/** What is said of a decoder's matrices in four bits is what its graph with them does. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { constantsOf } from '../../toolchain/compress/candidates.ts';
import { chooseDecoder, searchDecoder } from '../../toolchain/compress/decoder-search.ts';
import type { Steps } from '../../toolchain/compress/steps.ts';
import type { Tokens } from '../../toolchain/emulate/interpreter.ts';
import { foresightOf } from '../../toolchain/generate/perplexity.ts';
import { tensorOf } from '../../toolchain/ir/graph.ts';
import { opOf } from '../../toolchain/ops/index.ts';
import { type DecoderShape, decoderShapes, floatDecoder, randomIds } from '../schedule/decoders.ts';

function textsOf(shape: DecoderShape, lengths: readonly number[]): readonly Tokens[] {
  return lengths.map((length) => {
    const ids = randomIds(shape, Math.min(length, shape.maxTokens));
    return { ids, segmentStart: ids.length };
  });
}

const runs = Number(process.env['LM2MCU_PROPERTY_RUNS'] ?? 15);

test('each point measured is the graph with these matrices, and tables stay as they are', async () => {
  await fc.assert(
    fc.asyncProperty(decoderShapes, async (shape) => {
      const graph = floatDecoder({ ...shape, cache: { kind: 'full' } });
      const measuring = textsOf(shape, [5, 9, 14]);
      const result = await searchDecoder({
        ...{ graph, fitting: textsOf(shape, [6, 8, 11, 17]), measuring },
        ...{ steps: stepsInMemory(), digest: '', progress: async () => {} },
      });
      expect(result.points[0]).toMatchObject({ matrices: [], savedBytes: 0, rise: 0 });
      const tables = graph.nodes.flatMap(({ op, inputs }) =>
        opOf(op).table === undefined ? [] : inputs,
      );
      const weights = graph.nodes
        .filter(({ op }) => op === 'linear')
        .map(({ inputs }) => inputs[1]!)
        .filter((name) => !tables.includes(name));
      const last = result.points.at(-1)!;
      expect(last.matrices).toHaveLength(weights.length);
      const candidates = result.candidatesOf(last);
      expect(candidates.flatMap((one) => Object.keys(one.weights)).sort()).toEqual(weights.sort());
      // A bias that more than one linear reads is no single one's to change.
      for (const name of candidates.flatMap(({ constants }) => Object.keys(constants))) {
        const readers = graph.nodes.filter(({ inputs }) => inputs.includes(name));
        const changed = candidates.find(({ constants }) => name in constants)!.constants[name]!;
        if (readers.length > 1) expect([...changed]).toEqual([...tensorOf(graph, name).data!]);
      }
      const tensors = { ...graph.tensors };
      for (const [name, data] of constantsOf(candidates)) {
        tensors[name] = { ...tensorOf(graph, name), data: data as Float32Array<ArrayBuffer> };
      }
      const { perplexity } = foresightOf({ ...graph, tensors }, measuring);
      expect(perplexity).toBe(last.perplexity);
    }),
    { numRuns: runs },
  );
});

test('a search that was stopped anywhere goes on to the same points', async () => {
  const property = fc.asyncProperty(decoderShapes, fc.nat(30), async (shape, most) => {
    const graph = floatDecoder({ ...shape, cache: { kind: 'full' } });
    const texts = { fitting: textsOf(shape, [6, 8]), measuring: textsOf(shape, [5, 9]) };
    const search = (steps: Steps) =>
      searchDecoder({ ...{ graph, ...texts, steps, digest: '' }, progress: async () => {} });
    const kept = new Map<string, unknown>();
    const stopped = search(stepsInMemory(kept, most)).catch(({ message }: Error) => message);
    if (typeof (await stopped) === 'string') expect(await stopped).toBe('stopped');
    const before = new Map(kept);
    const { candidatesOf, ...resumed } = await search(stepsInMemory(kept));
    for (const [name, result] of before) expect(kept.get(name)).toBe(result);
    const { candidatesOf: wholeCandidates, ...whole } = await search(stepsInMemory());
    expect(resumed).toEqual(whole);
    const last = whole.points.at(-1)!;
    expect(candidatesOf(last)).toEqual(wholeCandidates(last));
  });
  await fc.assert(property, { numRuns: Math.ceil(runs / 5) });
});

/** As the files of `openSteps`; stops before the computation number `most`. */
function stepsInMemory(kept = new Map<string, unknown>(), most = Number.POSITIVE_INFINITY): Steps {
  let computed = 0;
  return {
    async run(name, dependsOn, compute) {
      const key = [name, ...dependsOn].join('\n');
      if (!kept.has(key)) {
        if (computed++ === most) throw new Error('stopped');
        kept.set(key, structuredClone(await compute()));
      }
      return kept.get(key) as Awaited<ReturnType<typeof compute>>;
    },
  };
}

test('a limit takes the smallest within it, a budget the best that meets it', () => {
  const point = (savedBytes: number, rise: number) => ({
    ...{ matrices: [], savedBytes, rise, perplexity: 10 * (1 + rise) },
  });
  const points = [point(0, 0), point(100, -0.01), point(200, 0.03), point(300, 0.05)];
  const chosen = (maxRise: number, leastSaved: number | null) =>
    chooseDecoder(points, { maxRise, leastSaved }).savedBytes;
  expect(chosen(0.04, null)).toBe(200);
  expect(chosen(0, null)).toBe(100);
  expect(chosen(0.04, 50)).toBe(100);
  expect(chosen(0, 150)).toBe(200);
  expect(chosen(0, 1000)).toBe(300);
});
