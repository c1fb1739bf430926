/**
 * What decoders generate is the same on every machine, token by token: the definition, which computes
 * the whole text again for each token, the program, which keeps its cache, the emitted C under
 * sanitizers, modules with plain and with relaxed SIMD, and firmware on emulated cores.
 */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { buildFirmware } from '../../toolchain/build/firmware.ts';
import { emitModel } from '../../toolchain/emit/c-model.ts';
import {
  type BuiltModel,
  type Executor,
  type GenerateOptions,
  openExecutor,
} from '../../toolchain/emulate/executor.ts';
import { parseStoredModel, type StoredModel } from '../../toolchain/emulate/stored-model.ts';
import { importModel } from '../../toolchain/importers/index.ts';
import { serializeGraph } from '../../toolchain/ir/serialize.ts';
import { packagePath } from '../../toolchain/package-root.ts';
import type { CachePolicy } from '../../toolchain/passes/cache-policy.ts';
import { kernelsFor, loadKernels } from '../../toolchain/schedule/kernels.ts';
import { schedule } from '../../toolchain/schedule/schedule.ts';
import { kernelScratch } from '../../toolchain/schedule/scratch.ts';
import { withSpareFlash } from '../../toolchain/schedule/spare-flash.ts';
import { sha256Of } from '../../toolchain/sha256.ts';
import { boardOf, loadTarget, type Target } from '../../toolchain/targets.ts';
import { compileTokenizer } from '../../toolchain/tokenizer/compile.ts';
import { hasEmulator, temporaryFolder } from '../firmware/fake-firmware.ts';
import { type DecoderShape, decoderShapes, legalDecoder, randomIds } from '../schedule/decoders.ts';
import { openVariants } from './wasm-variants.ts';

const { card, tokenizer } = importModel(packagePath('test', 'fixtures', 'decoders', 'llama'));
const compiledTokenizer = compileTokenizer(tokenizer);
const { idOrder } = compiledTokenizer;
const kernels = loadKernels();
const hostRuns = Number(process.env['LM2MCU_PROPERTY_RUNS'] ?? 4);
const generations = Number(process.env['LM2MCU_PROPERTY_RUNS'] ?? 6);

const shapes = decoderShapes.map((shape) => ({ ...shape, vocabulary: idOrder.length }));
const tileRows = fc.integer({ min: 1, max: 16 });

/** One after the other, so that each is there: everything kept, and then less than the longest text. */
function cachesInTurn(): (shape: DecoderShape) => DecoderShape {
  let run = 0;
  return (shape) => {
    const third = Math.ceil(shape.maxTokens / 3);
    const caches: readonly CachePolicy[] = [
      { kind: 'window', window: third, sinks: shape.seed % 3 },
      { kind: 'heavy', heavy: third, recent: 1 + (shape.seed % 2) },
      { kind: 'full' },
      { kind: 'local-sum', heavy: third, recent: 1 + (shape.seed % 3), steps: third },
    ];
    return { ...shape, cache: caches[run++ % caches.length]! };
  };
}

/** The graph as if it had come from a model with the fixture's tokenizer. */
function builtModel(
  shape: DecoderShape,
  rows: number,
  target: string,
  isNarrow = false,
): BuiltModel {
  const model: StoredModel = {
    card: { ...card, endTokens: [idOrder[shape.seed % idOrder.length]!] },
    tokenizer,
    recipe: null,
    idOrder,
    target: loadTarget(target),
    maxTokens: shape.maxTokens,
    cache: shape.cache,
    plan: { tileRows: rows, recomputeInputs: false, layers: [] },
  };
  return { graphBin: serializeGraph(legalDecoder(shape, isNarrow), model) };
}

/** From greedy to wild, from no token to more than there is room for. */
function samplings({ maxTokens, seed }: DecoderShape): readonly GenerateOptions[] {
  return [
    { mostTokens: maxTokens + 2, temperature: 0, topK: 0, topP: 1000, seed },
    { mostTokens: maxTokens, temperature: 1000, topK: 0, topP: 1000, seed },
    { mostTokens: 5, temperature: 700, topK: 1 + (seed % 7), topP: 1000, seed: seed + 1 },
    { mostTokens: maxTokens, temperature: 3000, topK: 0, topP: 850, seed: 0xffff_ffff },
    { mostTokens: 8, temperature: 1500, topK: 12, topP: 500, seed: 0 },
    { mostTokens: 1, temperature: 50, topK: 3, topP: 1, seed: 7 },
  ];
}

async function openEmulated(
  shape: DecoderShape,
  tileRows: number,
  target: Target,
  built: BuiltModel,
  spendsFlash = false,
): Promise<Executor> {
  const program = schedule(parseStoredModel(built.graphBin).graph, {
    maxTokens: shape.maxTokens,
    tileRows,
    recomputeInputs: false,
    scratchBytes: kernelScratch(kernelsFor(target.core.features, kernels), shape.maxTokens),
  });
  const machine = spendsFlash ? withSpareFlash(target, program, 'fits') : target;
  const { sources } = emitModel({
    program,
    card: { ...card, endTokens: [idOrder[shape.seed % idOrder.length]!] },
    tokenizer: compiledTokenizer,
    targetName: target.name,
    features: machine!.core.features,
    kernels,
    sha256: sha256Of(built.graphBin),
  });
  const usesSpareFlash = sources.some(({ path }) => path.endsWith('linear_triples.c'));
  expect(usesSpareFlash).toBe(spendsFlash);
  const { emulatorElfPath, warnings } = await buildFirmware({
    target,
    sources,
    placement: {},
    optimisation: 'O2',
    outDir: temporaryFolder(`decoder-${target.name}-${shape.seed}-${spendsFlash}`),
  });
  expect(warnings).toEqual([]);
  return openExecutor('emulator', { ...built, emulatorElfPath });
}

async function compareGenerations(
  executors: readonly Executor[],
  reference: Executor,
  shape: DecoderShape,
): Promise<void> {
  for (const [index, options] of samplings(shape).entries()) {
    const ids = randomIds({ ...shape, seed: index }, 1 + ((shape.seed + index) % shape.maxTokens));
    const prompt = { ids, segmentStart: ids.length };
    const expected = await reference.generate(prompt, options);
    for (const executor of executors) {
      const { instructions: _, ...found } = await executor.generate(prompt, options);
      const { instructions: __, ...bits } = expected;
      expect(found, `${executor.on} ${JSON.stringify({ shape, options, ids })}`).toEqual(bits);
    }
  }
  const ids = randomIds(shape, shape.maxTokens);
  const { outputs } = await reference.runTokens({ ids, segmentStart: ids.length });
  for (const executor of executors) {
    const answer = await executor.runTokens({ ids, segmentStart: ids.length });
    expect(answer.outputs).toEqual(outputs);
  }
}

test('program, host C and modules', async () => {
  const withCache = cachesInTurn();
  await fc.assert(
    fc.asyncProperty(shapes, tileRows, fc.boolean(), async (anyCache, rows, isNarrow) => {
      const shape = withCache(anyCache);
      const built = builtModel(shape, rows, 'mps2-an386', isNarrow);
      const executors = [
        await openExecutor('program', built),
        await openExecutor('host', built, { sanitize: true }),
        ...(await openVariants(built)),
      ];
      await compareGenerations(executors, await openExecutor('interpreter', built), shape);
      await Promise.all(executors.map((executor) => executor.close()));
    }),
    { numRuns: hostRuns, seed: 3, endOnFailure: true },
  );
}, 600_000);

test.skipIf(!hasEmulator).each(['mps2-an386', 'mps3-an547'])(
  '%s',
  async (name) => {
    const target = boardOf(loadTarget(name));
    const withCache = cachesInTurn();
    await fc.assert(
      fc.asyncProperty(shapes, tileRows, async (anyCache, rows) => {
        const shape = withCache(anyCache);
        const built = builtModel(shape, rows, name);
        const executor = await openEmulated(shape, rows, target, built);
        await compareGenerations([executor], await openExecutor('interpreter', built), shape);
        await executor.close();
      }),
      { numRuns: 3, seed: 4, endOnFailure: true },
    );
  },
  600_000,
);

/** As many as a decoder is asked for before the next one is made; families take turns. */
const generationsOfDecoder = 250;
const families = ['llama', 'gpt2', 'opt', 'merino'] as const;

test.skipIf(!hasEmulator)(
  'seeded generations on all machines at once',
  async () => {
    const target = boardOf(loadTarget('mps2-an386'));
    for (let done = 0; done < generations; done += generationsOfDecoder) {
      const [sampled] = fc.sample(shapes, { numRuns: 1, seed: 1 + done });
      const family = families[(done / generationsOfDecoder) % families.length]!;
      const shape = { ...sampled!, ...sizesOf(family), family };
      const built = builtModel(shape, 6, target.name, true);
      const executors = [
        await openExecutor('host', built),
        ...(await openVariants(built)),
        await openEmulated(shape, 6, target, built),
        await openEmulated(shape, 6, target, built, true),
      ];
      const reference = await openExecutor('interpreter', built);
      for (let seed = done; seed < Math.min(done + generationsOfDecoder, generations); seed++) {
        const ids = randomIds({ ...shape, seed }, 1 + (seed % 7));
        const options = {
          ...{ mostTokens: 8, temperature: 200 + ((seed * 37) % 2000), seed },
          ...{ topK: seed % 3 === 0 ? 5 : 0, topP: seed % 2 === 0 ? 900 : 1000 },
        };
        const prompt = { ids, segmentStart: ids.length };
        const { instructions: _, ...expected } = await reference.generate(prompt, options);
        for (const executor of executors) {
          const { instructions: __, ...found } = await executor.generate(prompt, options);
          expect(found, `${executor.on} ${JSON.stringify({ shape, seed })}`).toEqual(expected);
        }
      }
      await Promise.all(executors.map((executor) => executor.close()));
    }
  },
  3_600_000,
);

/** Several heads, a rest behind whole vectors, and what only one family has. */
function sizesOf(family: DecoderShape['family']) {
  return {
    ...{ layers: 2, keyValueHeads: 2, headWidth: 12, width: 24, middle: 37, maxTokens: 20 },
    sharing: family === 'llama' ? 2 : 1,
    embeddingWidth: family === 'merino' ? 15 : 24,
  };
}
