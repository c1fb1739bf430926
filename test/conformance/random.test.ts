/** Random graphs through the emitter: on the host under sanitizers, and on every emulated core. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { buildFirmware } from '../../toolchain/build/firmware.ts';
import { emitModel } from '../../toolchain/emit/c-model.ts';
import { type BuiltModel, type Executor, openExecutor } from '../../toolchain/emulate/executor.ts';
import type { StoredModel } from '../../toolchain/emulate/stored-model.ts';
import { importModel } from '../../toolchain/importers/index.ts';
import { serializeGraph } from '../../toolchain/ir/serialize.ts';
import { kernelsFor, loadKernels } from '../../toolchain/schedule/kernels.ts';
import { schedule } from '../../toolchain/schedule/schedule.ts';
import { kernelScratch } from '../../toolchain/schedule/scratch.ts';
import { sha256Of } from '../../toolchain/sha256.ts';
import { boardOf, loadTarget, withKernels } from '../../toolchain/targets.ts';
import { compileTokenizer } from '../../toolchain/tokenizer/compile.ts';
import { hasEmulator, temporaryFolder } from '../firmware/fake-firmware.ts';
import { fixturePath } from '../ir/graphs.ts';
import { contract } from '../kernels/run.ts';
import {
  type EncoderShape,
  encoderShapes,
  legalEncoder,
  type PlanShape,
  planShapes,
  randomTokens,
} from '../schedule/encoders.ts';
import { openVariants } from './wasm-variants.ts';

const { card, tokenizer } = importModel(fixturePath('seqcls-gelu'));
const compiledTokenizer = compileTokenizer(tokenizer);
const { idOrder } = compiledTokenizer;
const kernels = loadKernels();

const hostRuns = Number(process.env['LM2MCU_PROPERTY_RUNS'] ?? 10);
const emulatedRuns = 4;
const wasmRuns = Math.ceil(hostRuns / 2);

/** The graph as if it had come from a model with the fixture's tokenizer. */
function storedModel(shape: EncoderShape, plan: PlanShape, target: string): StoredModel {
  const { tileRows, recomputeInputs } = plan;
  return {
    card: { ...card, kind: 'embedding', labels: null, scores: 'none' },
    tokenizer,
    recipe: null,
    idOrder,
    target: withKernels(loadTarget(target), plan.kernels),
    maxTokens: shape.maxTokens,
    cache: { kind: 'full' },
    plan: { tileRows, recomputeInputs, layers: [] },
  };
}

async function checkAllLengths(
  executor: Executor,
  reference: Executor,
  shape: EncoderShape,
): Promise<void> {
  for (let length = 1; length <= shape.maxTokens; length++) {
    const tokens = randomTokens(shape, length);
    const { instructions: _, ...found } = await executor.runTokens(tokens);
    const { instructions: __, ...expected } = await reference.runTokens(tokens);
    expect(found).toEqual(expected);
  }
}

const shapes = encoderShapes.map((shape) => ({ ...shape, vocabulary: idOrder.length }));

test('host C', async () => {
  await fc.assert(
    fc.asyncProperty(shapes, planShapes, async (shape, plan) => {
      const model = storedModel(shape, plan, 'mps2-an386');
      const built = { graphBin: serializeGraph(legalEncoder(shape, plan), model) };
      const executor = await openExecutor('host', built, { sanitize: true });
      await checkAllLengths(executor, await openExecutor('interpreter', built), shape);
      await executor.close();
    }),
    { numRuns: hostRuns, seed: 2, endOnFailure: true },
  );
}, 600_000);

/** Weights of 7 bits in half of the graphs, for relaxed SIMD has a product of its own for them. */
test('WebAssembly', async () => {
  await fc.assert(
    fc.asyncProperty(shapes, planShapes, fc.boolean(), async (shape, plan, isNarrow) => {
      const model = storedModel(shape, plan, 'mps2-an386');
      const built = { graphBin: serializeGraph(legalEncoder(shape, plan, isNarrow), model) };
      const reference = await openExecutor('interpreter', built);
      for (const executor of await openVariants(built)) {
        await checkAllLengths(executor, reference, shape);
      }
    }),
    { numRuns: wasmRuns, seed: 4, endOnFailure: true },
  );
}, 600_000);

describe.runIf(hasEmulator).each(['mps2-an386', 'mps2-an500', 'mps2-an505', 'mps3-an547'])(
  '%s',
  (target) => {
    test('firmware', async () => {
      let run = 0;
      await fc.assert(
        fc.asyncProperty(shapes, planShapes, async (shape, plan) => {
          const folder = temporaryFolder(`random-${target}-${run++}`);
          const built = await buildRandom(shape, plan, target, folder);
          const executor = await openExecutor('emulator', built);
          await checkAllLengths(executor, await openExecutor('interpreter', built), shape);
          await executor.close();
        }),
        { numRuns: emulatedRuns, seed: 3, endOnFailure: true },
      );
    }, 600_000);
  },
);

async function buildRandom(
  shape: EncoderShape,
  plan: PlanShape,
  targetName: string,
  folder: string,
): Promise<BuiltModel> {
  const model = storedModel(shape, plan, targetName);
  const { maxTokens } = model;
  const target = boardOf(model.target);
  const { features } = target.core;
  const graph = legalEncoder(shape, plan);
  const graphBin = serializeGraph(graph, model);
  const scratchBytes = kernelScratch(kernelsFor(features, kernels), maxTokens);
  const { sources } = emitModel({
    program: schedule(graph, { ...model.plan, maxTokens, scratchBytes }),
    card: model.card,
    tokenizer: compiledTokenizer,
    targetName,
    features,
    kernels,
    sha256: sha256Of(graphBin),
  });
  const cmsisNn = plan.kernels === 'cmsis-nn' ? contract : undefined;
  const request = { target, sources, placement: {}, optimisation: 'O2', cmsisNn } as const;
  const { emulatorElfPath, warnings } = await buildFirmware({
    ...request,
    outDir: folder,
  });
  expect(warnings).toEqual([]);
  return { graphBin, emulatorElfPath };
}
