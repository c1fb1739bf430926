/**
 * `npm run bench wasm`: our modules and their peers on BERT-tiny, single thread, each in a process of its
 * own and one right after the other, for the clock and the neighbours change from minute to minute:
 * what counts is the ratio of neighbouring processes. Peers that this package does not use itself are
 * installed into a folder of their own. The last rows are the start: whole processes from the first
 * instruction to the first answer, without what Node takes to start.
 */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { packagePath } from '../../toolchain/package-root.ts';
import type { WeightKind } from '../../toolchain/pipeline.ts';
import { buildModule } from '../wasm/build.ts';
import { type EncoderSize, writeRandomModel } from './models.ts';
import { type OnnxOutput, onnxEncoder } from './wasm/onnx-encoder.ts';

const tiny: EncoderSize = {
  ...{ layers: 2, width: 128, heads: 2, feedForward: 512 },
  ...{ positions: 512, vocabulary: 2000 },
};

const peerVersions = { 'onnxruntime-web': '1.30.0', 'onnxruntime-node': '1.30.0' } as const;

/** Ratios of peer to ours that the project is meant to reach; `most`: ours may take so much longer. */
const goals: readonly string[] = [
  'classification: onnxruntime-web / simd ≥ 3.5 at 64 tokens, ≥ 3 at 128; / relaxed (w7) ≥ 5.5, ≥ 4.5',
  'hidden: onnxruntime-web / simd ≥ 2; / relaxed (w7) ≥ 3',
  'classification: onnxruntime-node / relaxed (w7) ≥ 0.77 at 64 tokens',
  'start: ≤ 60 ms',
];

/** Processes whose start is measured. */
const startRuns = 15;

const { values } = parseArgs({
  options: {
    rounds: { type: 'string', default: '3' },
    tokens: { type: 'string', default: '64,128' },
    warm: { type: 'string', default: '3000' },
    json: { type: 'boolean', default: false },
  },
});
const tokens = values.tokens.split(',').map(Number);
const rounds = Number(values.rounds);

const packages = installPeers();
const folder = mkdtempSync(join(tmpdir(), 'lm2mcu-bench-wasm-'));
const results: object[] = [];
try {
  for (const output of ['classification', 'hidden'] as const) {
    const onnx = join(folder, `${output}.onnx`);
    writeFileSync(onnx, onnxEncoder(tiny, output));
    const simd = await module(output, 'int8');
    const relaxed = await module(output, 'w7');
    const contenders = [
      ...Object.keys(peerVersions).map((kind) => ({ name: kind, kind, path: onnx })),
      { name: 'tfjs-wasm', kind: 'tfjs-wasm', path: modelPathOf(output) },
      { name: 'simd', kind: 'simd', path: simd },
      { name: 'relaxed, w7', kind: 'relaxed', path: relaxed },
    ];
    const times = new Map<string, Record<number, number>[]>();
    for (let round = 0; round < rounds; round++) {
      for (const { name, kind, path } of contenders) {
        say(`${output}, round ${round + 1} of ${rounds}: ${name}`);
        times.set(name, [...(times.get(name) ?? []), measure(kind, path, output)]);
      }
    }
    print(output, times);
  }
  await measureStart();
  if (values.json) console.log(JSON.stringify({ node: process.version, results }, null, 2));
  else console.log(`\nGoals:\n${goals.map((goal) => `  ${goal}`).join('\n')}`);
} finally {
  rmSync(folder, { recursive: true });
}

function say(line: string): void {
  process.stderr.write(`${line}\n`);
}

/** Outside the tree: 500 MB that only this needs. */
function installPeers(): string {
  const cache = process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache');
  const place = join(cache, 'lm2mcu-bench');
  const wanted = Object.entries(peerVersions).map(([name, version]) => `${name}@${version}`);
  if (Object.keys(peerVersions).every((name) => existsSync(join(place, 'node_modules', name)))) {
    return place;
  }
  say(`installing ${wanted.join(' and ')} into ${place}`);
  mkdirSync(place, { recursive: true });
  writeFileSync(join(place, 'package.json'), '{}');
  execFileSync('npm', ['install', '--no-audit', '--no-fund', '--save-exact', ...wanted], {
    cwd: place,
    stdio: ['ignore', 'ignore', 'inherit'],
    // Its CPU library comes with the package; what it would fetch is for GPUs.
    env: { ...process.env, ONNXRUNTIME_NODE_INSTALL: 'skip' },
  });
  return place;
}

/** A folder with model.wasm and model.mjs. */
async function module(output: OnnxOutput, weights: WeightKind): Promise<string> {
  const place = join(folder, `${output}-${weights}`);
  mkdirSync(place);
  const modelPath = modelPathOf(output);
  if (!existsSync(modelPath)) writeRandomModel(modelPath, tiny, output === 'hidden');
  const maxTokens = Math.max(...tokens);
  await buildModule({ modelPath, maxTokens, weights, calibration: null }, place);
  return place;
}

function modelPathOf(output: OnnxOutput): string {
  return join(folder, `${output}-model`);
}

function measure(kind: string, path: string, output: OnnxOutput): Record<number, number> {
  const request = {
    ...{ kind, path, packages, size: tiny, output, tokens },
    ...{ warmMs: Number(values.warm), measureMs: 2500 },
  };
  const script = packagePath('test', 'bench', 'wasm', 'contender.js');
  const stdout = execFileSync(process.execPath, [script, JSON.stringify(request)], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  return JSON.parse(stdout);
}

function print(output: OnnxOutput, times: ReadonlyMap<string, Record<number, number>[]>): void {
  const ours = ['simd', 'relaxed, w7'];
  for (const count of tokens) {
    for (const [name, runs] of times) {
      const own = runs.map((run) => run[count]!);
      const ratios = ours.includes(name)
        ? {}
        : Object.fromEntries(
            ours.map((other) => [
              `/ ${other}`,
              spread(times.get(other)!.map((run, round) => own[round]! / run[count]!)),
            ]),
          );
      results.push({ output, tokens: count, name, ms: spread(own), ratios });
      const words = Object.entries(ratios).map(([key, one]) => `${key} ${words3(one)}`);
      if (values.json) continue;
      console.log(
        `${output.padEnd(15)} ${String(count).padStart(4)}  ${name.padEnd(17)} ${words3(spread(own))} ms  ${words.join('  ')}`,
      );
    }
  }
}

/** The trained example: the first label of a fresh process, and the same process without the module. */
async function measureStart(): Promise<void> {
  const modelPath = packagePath('examples', 'debian-sections', 'model');
  if (!existsSync(modelPath)) {
    say(`no start without ${modelPath}`);
    return;
  }
  const place = join(folder, 'start');
  mkdirSync(place);
  await buildModule({ modelPath, maxTokens: 128, weights: 'w7', calibration: null }, place);
  const script = join(place, 'first.mjs');
  const text = 'a puzzle game with falling blocks';
  writeFileSync(
    script,
    `import { load } from './model.mjs';\nconsole.log((await load()).classify('${text}').label);\n`,
  );
  const empty = join(place, 'empty.mjs');
  writeFileSync(empty, '');
  say('start');
  const runs = Array.from({ length: startRuns }, () => {
    const before = processTime(empty);
    return { before, own: processTime(script) - before };
  });
  const node = spread(runs.map(({ before }) => before));
  const own = spread(runs.map(({ own }) => own));
  results.push({ output: 'start', name: 'first answer, without node', ms: own, node });
  if (values.json) return;
  console.log(
    `start: first answer of debian-sections ${words3(own)} ms behind node's own ${words3(node)} ms`,
  );
}

/** Of a whole process, in milliseconds on the clock. */
function processTime(script: string): number {
  const start = performance.now();
  execFileSync(process.execPath, [script], { stdio: 'ignore' });
  return performance.now() - start;
}

interface Spread {
  readonly least: number;
  readonly median: number;
  readonly most: number;
}

function spread(list: readonly number[]): Spread {
  const sorted = list.toSorted((a, b) => a - b);
  const median = sorted[Math.floor(sorted.length / 2)]!;
  return { least: sorted[0]!, median, most: sorted.at(-1)! };
}

function words3({ least, median, most }: Spread): string {
  return `${median.toFixed(2)} [${least.toFixed(2)}-${most.toFixed(2)}]`;
}
