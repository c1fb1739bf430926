/** The design of decoders: what the program measures, that both solvers solve it, and why there is no solution. */
import { readFileSync, writeFileSync } from 'node:fs';
import fc from 'fast-check';
import { Matrix, SingularValueDecomposition } from 'ml-matrix';
import { describe, expect, test } from 'vitest';
import { seededRandom } from '../../toolchain/compress/random.ts';
import { configOf, parseArchitecture } from '../../toolchain/design/architecture.ts';
import { bindingLimits, infeasible } from '../../toolchain/design/binding.ts';
import { budgetOf } from '../../toolchain/design/budget.ts';
import { type DecoderCosts, formulaCosts, weightTypes } from '../../toolchain/design/costs.ts';
import { depthToWidth, matrixEntropy, signalToNoise } from '../../toolchain/design/entropy.ts';
import { evolve } from '../../toolchain/design/evolve.ts';
import { relativeGap, solveExactly } from '../../toolchain/design/exact.ts';
import { plannedArenaBytes } from '../../toolchain/design/planned.ts';
import {
  type DesignProgram,
  excess,
  formulate,
  type Limits,
  measure,
  measureArchitecture,
  type Objective,
  type Option,
  objectives,
} from '../../toolchain/design/program.ts';
import { Lm2mcuError } from '../../toolchain/errors.ts';
import { packagePath } from '../../toolchain/package-root.ts';
import { oneRow, programInstructions } from '../../toolchain/schedule/cost.ts';
import { kernelsFor, loadKernels } from '../../toolchain/schedule/kernels.ts';
import { schedule } from '../../toolchain/schedule/schedule.ts';
import { kernelScratch } from '../../toolchain/schedule/scratch.ts';
import { listTargets, loadTarget } from '../../toolchain/targets.ts';
import { legalDecoder } from '../schedule/decoders.ts';

describe('entropy', () => {
  test.each([
    [96, 96],
    [64, 256],
    [160, 40],
  ])('of a matrix from %i to %i is that of random ones', (inputs, outputs) => {
    const random = seededRandom(inputs);
    const gaussian = () =>
      Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random());
    const weights = Matrix.from1DArray(
      outputs,
      inputs,
      Array.from({ length: inputs * outputs }, () => gaussian() / Math.sqrt(inputs)),
    );
    const { diagonal } = new SingularValueDecomposition(weights, { autoTranspose: true });
    const bits = diagonal.reduce((sum, s) => sum + Math.log2(1 + signalToNoise * s * s) / 2, 0);
    // A single matrix of this size strays by less than 1 % from the mean of large ones.
    expect(matrixEntropy(inputs, outputs) / bits).toBeCloseTo(1, 1.7);
  });

  test('depth to width of equal layers is depth by width', () => {
    expect(depthToWidth(6, 6 * Math.log(96))).toBeCloseTo((4 * 6) / 96, 12);
  });
});

interface Trained {
  readonly shape: string;
  readonly parameters: number;
}

test('parameters are those that PyTorch counts', () => {
  const { decoders }: { decoders: readonly Trained[] } = JSON.parse(
    readFileSync(packagePath('examples', 'package-writer', 'correlation.json'), 'utf8'),
  );
  const costs = costsOn('nucleo-f746zg', 1024, 128);
  expect(decoders.length).toBeGreaterThanOrEqual(12);
  for (const { shape, parameters } of decoders) {
    const blocks = shape.split(' ').map((text) => {
      const [width, layers, feedForward] = text.split(/[x/]/).map(Number);
      return { width, heads: width! / 32, layers, feedForward, isShared: false };
    }) as Parameters<typeof costs.block>[0][];
    const embedding = blocks[0]!.width;
    const architecture = { vocabulary: 1024, context: 128, embedding, blocks };
    expect(measureArchitecture(architecture, costs, 0).parameters, shape).toBe(parameters);
    const config = new TextEncoder().encode(JSON.stringify(configOf(architecture)));
    expect(parseArchitecture(config, 'config.json')).toEqual(architecture);
  }
});

function costsOn(board: string, vocabulary: number, context: number) {
  const target = loadTarget(board);
  const { region } = budgetOf(target, vocabulary, { maxDepthToWidth: 1 });
  const name = region.name;
  return formulaCosts({ target, weights: 'int8', vocabulary, context, region: name });
}

test.each(listTargets())('every layer costs something on %s, wider ones more', (board) => {
  const target = loadTarget(board);
  for (const weights of weightTypes) {
    const { region } = budgetOf(target, 512, { maxDepthToWidth: 1 });
    const costs = formulaCosts({
      ...{ target, weights, vocabulary: 512, context: 64, region: region.name },
    });
    const of = (width: number) =>
      costs.block({ width, heads: 2, feedForward: 2 * width, layers: 1, isShared: false });
    for (const key of ['flashBytes', 'cacheBytes', 'liveBytes', 'cycles'] as const) {
      expect(of(64)[key], key).toBeGreaterThan(0);
      expect(of(128)[key], key).toBeGreaterThan(of(64)[key]);
    }
  }
});

test.each(['nrf52840-dk', 'mps3-an547'])(
  'the formulas are the planner’s and the cost model’s, on %s',
  (board) => {
    const [width, layers, feedForward, vocabulary, context] = [64, 2, 96, 300, 48];
    const { core, clockHz, ...rest } = loadTarget(board);
    // Waits for flash are counted apart, in both.
    const regions = rest.regions.map((region) => ({ ...region, readCyclesPerWord: 1 }));
    const target = { ...rest, core, clockHz, regions };
    const block = { width, heads: 2, feedForward, layers, isShared: false };
    const costs = formulaCosts({
      ...{ target, weights: 'int8', vocabulary, context, region: target.codeRegion },
    });
    const architecture = { vocabulary, context, embedding: width, blocks: [block] };
    const formula = measureArchitecture(architecture, costs, 0);

    const kernelOf = kernelsFor(core.features, loadKernels());
    const graph = legalDecoder({
      ...{
        family: 'gpt2',
        layers,
        keyValueHeads: 2,
        sharing: 1,
        headWidth: 32,
        width,
        embeddingWidth: width,
        cache: { kind: 'full' },
        vocabulary,
      },
      ...{ middle: feedForward, maxTokens: context, cache: { kind: 'full' }, seed: 2 },
    });
    const program = schedule(graph, {
      ...{ maxTokens: context, tileRows: 1, recomputeInputs: false },
      scratchBytes: kernelScratch(kernelOf, context),
    });
    const segments = program.segments.map((segment) => ({ ...segment, ...oneRow }));
    const instructions = programInstructions({ graph, segments }, context, kernelOf, target);
    expect(plannedArenaBytes(architecture, target)).toBe(program.arenaBytes);
    // What differs is the alignment of buffers, and rounding.
    expect(formula.sramBytes / program.arenaBytes).toBeCloseTo(1, 1.7);
    expect(formula.cycles / instructions).toBeCloseTo(1, 3);
  },
);

const smallSpace = {
  ...{ widths: [32, 64, 96, 128], headWidth: 32, ratios: [1, 2, 4] },
  ...{ mostBlocks: 3, mostLayersOfBlock: 3, sharing: true },
};
const unlimited: Limits = {
  ...{ flashBytes: Infinity, sramBytes: Infinity, cycles: Infinity },
  ...{ parameters: Infinity, depthToWidth: Infinity },
};

function smallProgram(
  limits: Limits,
  objective: Objective,
  costs: DecoderCosts = costsOn('nrf52840-dk', 512, 64),
): DesignProgram {
  return formulate({
    ...{ vocabulary: 512, context: 64, space: smallSpace, fixedFlashBytes: 40_000 },
    ...{ costs, limits, objective },
  });
}

/** Every decoder of the space. */
function* allDecoders({ options, space }: DesignProgram): Generator<readonly Option[]> {
  function* from(index: number, chosen: readonly Option[]): Generator<readonly Option[]> {
    if (chosen.length > 0) yield chosen;
    if (chosen.length === space.mostBlocks) return;
    for (let next = index; next < space.widths.length; next++) {
      for (const option of options) {
        if (option.block.width === space.widths[next]) yield* from(next + 1, [...chosen, option]);
      }
    }
  }
  yield* from(0, []);
}

const limitsOf = fc.record<Limits>({
  flashBytes: fc.constantFrom(Infinity, 120_000, 200_000, 350_000),
  sramBytes: fc.constantFrom(Infinity, 12_000, 40_000, 90_000),
  cycles: fc.constantFrom(Infinity, 100_000, 300_000, 900_000),
  parameters: fc.constantFrom(Infinity, 60_000, 150_000, 400_000),
  depthToWidth: fc.constantFrom(Infinity, 0.06, 0.12, 0.3),
});

describe('both solvers find the best of all decoders', () => {
  const program = smallProgram(unlimited, 'entropy');
  const all = [...allDecoders(program)].map((chosen) => measure(program, chosen));

  test('within the stated gap, or none where there is none', async () => {
    await fc.assert(
      fc.asyncProperty(limitsOf, fc.constantFrom(...objectives), async (limits, objective) => {
        const limited = { ...program, limits, objective };
        const allowed = all.filter((measures) => excess(measures, limits) === 0);
        const exact = await solveExactly({
          ...{ program: limited, goal: { most: objective }, seconds: 60 },
        });
        const { best } = evolve({ program: limited, seed: 1, evaluations: 8000 });
        if (allowed.length === 0) {
          expect(exact.kind).toBe('infeasible');
          expect(best.excess).toBeGreaterThan(0);
          return;
        }
        const most = Math.max(...allowed.map((measures) => measures[objective]));
        if (exact.kind === 'infeasible') throw new Error(`there is one with ${most}`);
        const found = measure(program, exact.chosen);
        expect(excess(found, limits)).toBeLessThan(1e-6);
        expect(found[objective]).toBeGreaterThanOrEqual(most * (1 - relativeGap));
        expect(exact.bound).toBeGreaterThanOrEqual(most * (1 - 1e-6));
        expect(best.excess).toBe(0);
        expect(best.measures[objective]).toBeGreaterThanOrEqual(most * (1 - evolutionGap));
      }),
      { numRuns: Number(process.env['LM2MCU_PROPERTY_RUNS'] ?? 8), seed: 3 },
    );
  });

  test('and of the least of each quantity', async () => {
    for (const name of ['flashBytes', 'sramBytes', 'cycles', 'parameters'] as const) {
      const solved = await solveExactly({ program, goal: { least: name }, seconds: 60 });
      if (solved.kind === 'infeasible') throw new Error('nothing is limited');
      const least = all.reduce((a, b) => Math.min(a, b[name]), Infinity);
      expect(measure(program, solved.chosen)[name]).toBeLessThanOrEqual(least * (1 + relativeGap));
    }
  });
});

/** How far evolution may stay behind. */
const evolutionGap = 0.01;

test('on a whole board they agree, and the seed decides the same each time', async () => {
  const target = loadTarget('nrf52840-dk');
  const { limits, fixedFlashBytes } = budgetOf(target, 1024, {
    ...{ tokensPerSecond: 25, maxDepthToWidth: 0.4 },
  });
  const costs = costsOn('nrf52840-dk', 1024, 128);
  const space = { ...smallSpace, widths: [64, 96, 128, 160, 192, 224], mostLayersOfBlock: 8 };
  const program = formulate({
    ...{ vocabulary: 1024, context: 128, space, costs, limits, fixedFlashBytes },
    objective: 'entropy',
  });
  const exact = await solveExactly({ program, goal: { most: 'entropy' }, seconds: 60 });
  const evolved = evolve({ program, seed: 1, evaluations: 20_000 });
  if (exact.kind === 'infeasible') throw new Error('the board is large enough');
  expect(exact.isProven).toBe(true);
  expect(evolved.best.measures.entropy).toBeGreaterThan(exact.bound * (1 - evolutionGap));
  expect(evolve({ program, seed: 1, evaluations: 20_000 }).best).toEqual(evolved.best);
  for (const one of evolved.front) {
    const beaten = evolved.front.some(
      ({ measures }) =>
        measures.entropy > one.measures.entropy &&
        measures.flashBytes < one.measures.flashBytes &&
        measures.cycles < one.measures.cycles,
    );
    expect(one.excess).toBe(0);
    expect(beaten).toBe(false);
  }
});

/** Of no board: what the messages say does not change with the kernels. */
const roundCosts: DecoderCosts = {
  block: ({ width, feedForward, layers, isShared }) => {
    const parameters = (isShared ? 1 : layers) * 2 * width * (2 * width + feedForward);
    return {
      ...{ parameters, flashBytes: parameters, cacheBytes: 128 * layers * width },
      ...{ liveBytes: 4 * width + feedForward, cycles: layers * 2 * width * width },
    };
  },
  projection: (inputs, outputs) => ({
    ...{ parameters: inputs * outputs, flashBytes: inputs * outputs, cacheBytes: 0 },
    ...{ liveBytes: inputs + outputs, cycles: inputs * outputs },
  }),
  ends: (embedding) => ({
    ...{ parameters: 512 * embedding, flashBytes: 512 * embedding, cacheBytes: 0 },
    ...{ liveBytes: 1024, cycles: 512 * embedding },
  }),
};

test('says which limit binds', async () => {
  const cases: Readonly<Record<string, Partial<Limits>>> = {
    'too little flash': { flashBytes: 50_000, cycles: 900_000 },
    'too little SRAM': { sramBytes: 4000 },
    'too fast': { cycles: 10_000 },
    'too few parameters': { parameters: 1000 },
    'flash and time, each alone': { flashBytes: 50_000, cycles: 10_000 },
    'flash for wide ones, or depth for narrow ones': { flashBytes: 100_000, depthToWidth: 0.04 },
    'a depth that nothing reaches': { depthToWidth: 0.001 },
  };
  const texts: string[] = [];
  for (const [name, limits] of Object.entries(cases)) {
    const program = smallProgram({ ...unlimited, ...limits }, 'entropy', roundCosts);
    const error = infeasible(await bindingLimits(program), 'a small space', 64_000_000);
    expect(error).toBeInstanceOf(Lm2mcuError);
    texts.push(`# ${name}\n${JSON.stringify(error.details, null, 2)}\n`);
  }
  const golden = packagePath('test', 'design', 'binding.txt');
  const actual = texts.join('\n');
  if (process.env['BLESS'] === '1') writeFileSync(golden, actual);
  expect(actual, 'BLESS=1 rewrites the file').toBe(readFileSync(golden, 'utf8'));
});
