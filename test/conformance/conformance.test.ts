/**
 * One suite, many executors: the program on its arena, the emitted C on the host under sanitizers,
 * and the firmware on every emulated core give the interpreter's bits. LM2MCU_ALL_TEXTS=1 takes all
 * texts of the example instead of two dozen.
 */
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { buildFirmware } from '../../toolchain/build/firmware.ts';
import {
  type Answer,
  type Executor,
  type ExecutorKind,
  openExecutor,
} from '../../toolchain/emulate/executor.ts';
import type { Tokens } from '../../toolchain/emulate/interpreter.ts';
import type { Example } from '../../toolchain/emulate/stored-model.ts';
import { type Compiled, compile, type WeightKind } from '../../toolchain/pipeline.ts';
import { type KernelSet, loadTarget } from '../../toolchain/targets.ts';
import { hasEmulator, temporaryFolder } from '../firmware/fake-firmware.ts';
import { contract } from '../kernels/run.ts';
import { makeRandom } from '../tokenizer/samples.ts';
import { type ConformanceModel, exampleModel, fixtureModels } from './models.ts';
import { openVariants } from './wasm-variants.ts';

interface Machine {
  readonly on: ExecutorKind;
  readonly target: string;
  readonly kernels: KernelSet;
  readonly weights?: WeightKind;
  /** Without it all of them. */
  readonly models?: readonly string[];
  /** Takes each so many-th text: a simulated NPU is slow. */
  readonly textStep?: number;
}

const onHost: readonly Machine[] = [
  { on: 'program', target: 'mps2-an386', kernels: 'native' },
  { on: 'host', target: 'mps2-an386', kernels: 'native' },
  { on: 'program', target: 'mps2-an386', kernels: 'cmsis-nn' },
  { on: 'host', target: 'mps2-an386', kernels: 'cmsis-nn' },
  { on: 'wasm', target: 'mps2-an386', kernels: 'native', weights: 'w7' },
];
/** Cortex-M4, M7, M33 and M55. */
const emulated: readonly Machine[] = [
  { on: 'emulator', target: 'mps2-an386', kernels: 'native' },
  { on: 'emulator', target: 'mps2-an500', kernels: 'native' },
  { on: 'emulator', target: 'mps2-an505', kernels: 'native' },
  { on: 'emulator', target: 'mps3-an547', kernels: 'native' },
  // The host runs the same calls of the library for every model.
  { on: 'emulator', target: 'mps2-an386', kernels: 'cmsis-nn', models: ['seqcls-odd-f32'] },
  { on: 'emulator', target: 'mps3-an547', kernels: 'cmsis-nn', models: ['tokcls-relu'] },
];
/** A Cortex-M55 beside an Ethos-U55 of 256, 128 and 64 MACs; their jobs run in the simulator. */
const withNpu: readonly Machine[] = [
  {
    ...{ on: 'emulator', target: 'corstone-300', kernels: 'native', textStep: 6 },
    models: ['tokcls-relu', 'embed-tanh-bf16, mean', 'debian-sections'],
  },
  { on: 'emulator', target: 'alif-ensemble-e7-he', kernels: 'native', models: ['seqcls-gelu'] },
  { on: 'emulator', target: 'grove-vision-ai-v2', kernels: 'native', models: ['seqcls-gelu'] },
];
if (!hasEmulator) console.warn('SKIPPED: no arm-none-eabi-gcc or no qemu-system-arm');
const machines = [...onHost, ...(hasEmulator ? [...emulated, ...withNpu] : [])];

/** 2,000 texts on an emulator. */
const longTestMs = 3_600_000;
const example = exampleModel();
const models = [...fixtureModels(), ...(example === undefined ? [] : [example])];

describe.each(models)('$name', (model) => {
  const fitting = machines
    .filter(({ models: names }) => names?.includes(model.name) ?? true)
    .filter(({ on, target }) => on !== 'emulator' || (model.emulated?.includes(target) ?? true));
  describe.each(fitting)('$on, $target, $kernels', (machine) => {
    const examples = model.examples.filter((_, index) => index % (machine.textStep ?? 1) === 0);
    let reference: Executor;
    let executors: readonly Executor[];
    let textBytes: number;

    beforeAll(async () => {
      const compiled = compiledFor(model, machine);
      textBytes = compiled.program.arenaBytes - compiled.program.textOffset;
      reference = await openExecutor('interpreter', compiled);
      executors = await openMachine(machine, model, compiled);
    }, longTestMs);
    afterAll(() => Promise.all(executors?.map((executor) => executor.close())));

    test(
      'texts',
      async () => {
        let compared = 0;
        for (const one of examples) {
          if (bytesOf(one) > textBytes) continue;
          const expected = await reference.classify(one);
          for (const executor of executors) {
            expectSame(await executor.classify(one), expected, one);
          }
          compared += 1;
        }
        expect(compared).toBeGreaterThan(examples.length * 0.8);
      },
      longTestMs,
    );

    test('token ids, from two to as many as it takes', async () => {
      for (const tokens of tokenLists(reference.model.maxTokens, reference.model.idOrder.length)) {
        const expected = await reference.runTokens(tokens);
        for (const executor of executors) {
          expectSame(await executor.runTokens(tokens), expected, tokens);
        }
      }
    });
  });
});

/** The last one: machines that run the same program stand one behind the other. */
let last: { readonly key: string; readonly compiled: Compiled } | undefined;

function compiledFor(
  { name, request }: ConformanceModel,
  { target, kernels, weights }: Machine,
): Compiled {
  const key = [name, target, kernels, weights].join();
  if (last?.key !== key) {
    last = { key, compiled: compile({ ...request, target: loadTarget(target), kernels, weights }) };
  }
  return last.compiled;
}

async function openMachine(
  { on, target, kernels }: Machine,
  { name }: ConformanceModel,
  compiled: Compiled,
): Promise<readonly Executor[]> {
  if (on === 'wasm') return openVariants(compiled);
  if (on !== 'emulator') return [await openExecutor(on, compiled, { sanitize: true })];
  const { emulatorElfPath, warnings } = await buildFirmware({
    target: compiled.target,
    sources: compiled.sources,
    placement: compiled.placement,
    optimisation: 'O2',
    cmsisNn: kernels === 'cmsis-nn' ? contract : undefined,
    outDir: join(
      temporaryFolder('conformance'),
      `${target}-${name}-${kernels}`.replaceAll(/[^\w-]/g, '_'),
    ),
  });
  expect(warnings).toEqual([]);
  return [await openExecutor(on, { graphBin: compiled.graphBin, emulatorElfPath })];
}

function expectSame(found: Answer, expected: Answer, input: Example | Tokens): void {
  const { instructions: _, ...bits } = found;
  const { instructions: __, ...expectedBits } = expected;
  expect(bits, JSON.stringify(input)).toEqual(expectedBits);
}

/** As the console's line: with what marks a text that looks like a command. */
function bytesOf({ text, textPair = '' }: Example): number {
  return new TextEncoder().encode(`#text ${text}\t${textPair}`).length;
}

function tokenLists(maxTokens: number, vocabulary: number): readonly Tokens[] {
  const random = makeRandom(5);
  const lengths = [2, 3, 5, 16, 17, maxTokens - 1, maxTokens].filter((n) => n <= maxTokens);
  return lengths.flatMap((length) =>
    [length, random(length + 1), 0].map((segmentStart) => ({
      ids: Array.from({ length }, () => random(vocabulary)),
      segmentStart,
    })),
  );
}
