/**
 * `npm run bench decoder -- --cores m4,m7,m55 --models story,writer --plan fits [--calls]`: instructions
 * of one generated token at position 128 on emulated cores, all work included: the token is chosen, put
 * behind the others, and computed. Exact under QEMU; no cycles. Ends with exit code 1 when a goal is
 * missed. The emulated boards have flash to spend on speed; `--plan smallest` spends none. `--cores wasm`:
 * tokens a second of a module in this Node instead, on one thread.
 */
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import * as z from 'zod';
import type { Model } from '../../firmware-templates/wasm/model.d.ts';
import { buildFirmware, type FirmwareSource } from '../../toolchain/build/firmware.ts';
import { openQemuConsole } from '../../toolchain/emulate/qemu.ts';
import { tensorOf } from '../../toolchain/ir/graph.ts';
import { opOf } from '../../toolchain/ops/index.ts';
import { type Compiled, compile } from '../../toolchain/pipeline.ts';
import type { PlanGoal } from '../../toolchain/schedule/plan.ts';
import { loadTarget } from '../../toolchain/targets.ts';
import { buildModule } from '../wasm/build.ts';
import { type DecoderName, decoders, writeRandomDecoder } from './decoder-models.ts';
import { boards, type CoreName } from './options.ts';
import { profiledSources } from './profile.ts';

const position = 128;
/** Over which the instructions of a token are averaged, around the position. */
const averaged = 8;

/** Of which the quickest counts: neighbours only make it slower. */
const rounds = 40;

/** Instructions a multiply-accumulate, or of a token. */
const goals: readonly {
  readonly core: CoreName;
  readonly model?: DecoderName;
  readonly perMac?: number;
  readonly perToken?: number;
}[] = [
  { core: 'M4', perMac: 1.3 },
  { core: 'M55', perMac: 0.25 },
  { core: 'M7', model: 'story', perToken: 450_000 },
];

const samplings = {
  greedy: '0 0 1000',
  'temperature 0.8': '800 0 1000',
  'temperature 0.8, top-k 40, top-p 0.95': '800 40 950',
} as const;

const { values } = parseArgs({
  options: {
    cores: { type: 'string', default: 'm4,m7,m55' },
    models: { type: 'string', default: 'story,writer' },
    plan: { type: 'string', default: 'fits' },
    calls: { type: 'boolean', default: false },
  },
});

const answerSchema = z.object({ instructions: z.object({ generation: z.number() }) });

const folder = mkdtempSync(join(tmpdir(), 'lm2mcu-bench-'));
let missed = 0;
try {
  for (const model of values.models.split(',') as DecoderName[]) {
    const path = join(folder, model);
    writeRandomDecoder(path, decoders[model], position + 2 * averaged);
    for (const core of values.cores.toUpperCase().split(',')) {
      if (core === 'WASM') await timeModule(model, path);
      else missed += await bench(model, path, core as CoreName);
    }
  }
} finally {
  rmSync(folder, { recursive: true });
}
process.exitCode = missed === 0 ? 0 : 1;

async function bench(model: DecoderName, modelPath: string, core: CoreName): Promise<number> {
  const target = loadTarget(boards[core]);
  const compiled = compile({
    ...{ modelPath, target, maxTokens: position + 2 * averaged, goal: values.plan as PlanGoal },
    calibration: Array.from({ length: 4 }, (_, index) => ({ text: textOf(index) })),
  });
  const macs = macsOfToken(compiled);
  const { arenaBytes, buffers } = compiled.program;
  const cache = Object.values(buffers).filter(({ kind }) => kind === 'state');
  const cacheBytes = cache.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  console.log(
    `${model}, ${core}: ${count(macs)} MACs a token at position ${position}, arena ${count(arenaBytes)} B, of it ${count(cacheBytes)} B cache; layers ${count(compiled.constantSizes.encoder)} B of flash`,
  );
  const image = await build(compiled, compiled.sources, `${model}-${core}`);
  let greedy = 0;
  for (const [name, sampling] of Object.entries(samplings)) {
    const instructions = await instructionsOfToken(compiled, image, sampling);
    if (name === 'greedy') greedy = instructions;
    console.log(
      `  ${count(instructions).padStart(9)} instructions a token, ${(instructions / macs).toFixed(3)} a MAC, ${name}`,
    );
  }
  if (values.calls) await showCalls(compiled, `${model}-${core}-calls`);
  const own = goals.filter((goal) => goal.core === core && (goal.model ?? model) === model);
  return own.filter(({ perMac, perToken }) => {
    const limit = perToken ?? perMac! * macs;
    const isMissed = greedy > limit;
    console.log(`  goal ${count(limit)}: ${isMissed ? 'MISSED' : 'reached'}`);
    return isMissed;
  }).length;
}

/** Of tokens around the position; weights of 7 bits, which both variants take. */
async function timeModule(model: DecoderName, modelPath: string): Promise<void> {
  const out = join(folder, `${model}-wasm`);
  mkdirSync(out);
  await buildModule(
    {
      ...{ modelPath, maxTokens: position + 2 * averaged, weights: 'w7' },
      calibration: Array.from({ length: 4 }, (_, index) => ({ text: textOf(index) })),
    },
    out,
  );
  const { load }: Loader = await import(pathToFileURL(join(out, 'model.mjs')).href);
  const prompt = promptOf(position - averaged);
  for (const variant of ['simd', 'relaxed'] as const) {
    const module = await load({ variant });
    const seconds = async (maxNew: number): Promise<number> => {
      const start = performance.now();
      await module.generate(prompt, { maxNew });
      return (performance.now() - start) / 1000;
    };
    await seconds(averaged); // warm
    const times = { one: Number.POSITIVE_INFINITY, all: Number.POSITIVE_INFINITY };
    for (let round = 0; round < rounds; round++) {
      times.one = Math.min(times.one, await seconds(1));
      times.all = Math.min(times.all, await seconds(2 * averaged));
    }
    const perSecond = (2 * averaged - 1) / (times.all - times.one);
    console.log(
      `${model}, WebAssembly, ${variant}: ${count(perSecond)} tokens a second at position ${position}`,
    );
  }
}

interface Loader {
  load(options: { readonly variant: 'simd' | 'relaxed' }): Promise<Model>;
}

function count(value: number): string {
  return Math.round(value).toLocaleString('en-US');
}

function textOf(seed: number): string {
  return Array.from({ length: 40 }, (_, index) => `w${(index * 37 + seed * 101) % 500}`).join(' ');
}

/** Of all products, those of attention with the keys and values of all tokens before. */
function macsOfToken({ program: { graph } }: Compiled): number {
  return graph.nodes.reduce((sum, node) => {
    const shapes = node.inputs.map((name) => tensorOf(graph, name).shape);
    return sum + opOf(node.op).macsPerRow(shapes, node.attrs, position);
  }, 0);
}

async function build(
  { target, placement }: Compiled,
  sources: readonly FirmwareSource[],
  name: string,
): Promise<string> {
  const request = { target, sources, placement, outDir: join(folder, name) };
  const { emulatorElfPath } = await buildFirmware({ ...request, optimisation: 'O2' });
  return emulatorElfPath!;
}

/** The difference between two generations of which one is longer by so many tokens. */
async function instructionsOfToken(
  { target }: Compiled,
  elfPath: string,
  sampling: string,
): Promise<number> {
  const console = await openQemuConsole({ target, elfPath });
  const prompt = promptOf(position - averaged / 2);
  const generation = async (tokens: number): Promise<number> => {
    await console.ask(`#sample ${tokens} ${sampling} 1`);
    const { instructions } = answerSchema.parse(JSON.parse(await console.ask(prompt)));
    return instructions.generation;
  };
  try {
    return ((await generation(averaged + 2)) - (await generation(2))) / averaged;
  } finally {
    await console.close();
  }
}

function promptOf(tokens: number): string {
  const ids = Array.from({ length: tokens }, (_, index) => (index * 37) % 500);
  return `#ids ${ids.join(' ')}`;
}

/** Instructions of every kind of call for one token. */
async function showCalls(compiled: Compiled, name: string): Promise<void> {
  const { target, sources, program } = compiled;
  const calls = program.segments.flatMap((segment) => segment.calls);
  const elfPath = await build(compiled, profiledSources(sources, calls.length), name);
  const console_ = await openQemuConsole({ target, elfPath });
  try {
    await console_.ask('#sample 2 0 0 1000 1');
    const profileIn = (line: string): number[] =>
      JSON.parse(`[${/\{"profile":\[([\d,]+)\]\}/.exec(line)![1]}]`);
    const prompt = profileIn(await console_.ask(promptOf(position - 1)));
    const both = profileIn(await console_.ask('?'));
    const byOp = new Map<string, { calls: number; instructions: number; macs: number }>();
    for (const [index, { node }] of calls.entries()) {
      const op = node?.op ?? 'copy';
      const sum = byOp.get(op) ?? { calls: 0, instructions: 0, macs: 0 };
      const shapes = node?.inputs.map((input) => tensorOf(program.graph, input).shape) ?? [];
      const macs = node === null ? 0 : opOf(node.op).macsPerRow(shapes, node.attrs, position);
      byOp.set(op, {
        calls: sum.calls + 1,
        instructions: sum.instructions + both[index]! - prompt[index]!,
        macs: sum.macs + macs,
      });
    }
    for (const [op, { calls: times, instructions, macs }] of byOp) {
      const perMac = macs === 0 ? '' : `, ${(instructions / macs).toFixed(2)} a MAC`;
      console.log(
        `    ${op.padEnd(16)} ${String(times).padStart(3)} calls ${count(instructions).padStart(9)}${perMac}`,
      );
    }
  } finally {
    await console_.close();
  }
}
