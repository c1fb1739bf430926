// One runtime in a process of its own: node contender.js '{"kind": …, "path": …, "tokens": [64]}' prints
// milliseconds of CPU time of the main thread for one inference, the 10th percentile of chunks.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

/** @type {{kind: string, path: string, packages: string, size: import('../models.ts').EncoderSize, output: import('./onnx-encoder.ts').OnnxOutput, tokens: number[], warmMs: number, measureMs: number}} */
const request = JSON.parse(process.argv[2] ?? '');
const require = createRequire(`${request.packages}/`);

/** @type {Readonly<Record<string, () => Promise<(ids: number[]) => unknown>>>} */
const contenders = {
  simd: () => ours('simd'),
  relaxed: () => ours('relaxed'),
  'onnxruntime-web': () => onnx('onnxruntime-web'),
  'onnxruntime-node': () => onnx('onnxruntime-node'),
  'tfjs-wasm': tfjs,
};

/** @param {string} variant */
async function ours(variant) {
  const { load } = await import(pathToFileURL(`${request.path}/model.mjs`).href);
  const model = await load({ variant });
  return (/** @type {number[]} */ ids) => model.run(ids);
}

/** @param {string} name */
async function onnx(name) {
  const ort = (await import(pathToFileURL(require.resolve(name)).href)).default;
  ort.env.wasm.numThreads = 1;
  const options = { intraOpNumThreads: 1, interOpNumThreads: 1, graphOptimizationLevel: 'all' };
  const session = await ort.InferenceSession.create(readFileSync(request.path), options);
  return (/** @type {number[]} */ ids) => {
    const tensor = (/** @type {number[]} */ values) =>
      new ort.Tensor('int64', BigInt64Array.from(values, BigInt), [1, values.length]);
    return session.run({ ids: tensor(ids), positions: tensor(ids.map((_, index) => index)) });
  };
}

/** Loaded here only, for it starts slowly. */
async function tfjs() {
  const { openTfjsEncoder } = await import('./tfjs-encoder.ts');
  return openTfjsEncoder(request.path, request.size, request.output);
}

/** Nanoseconds that the main thread has run. */
function cpuTime() {
  const stat = readFileSync(`/proc/self/task/${process.pid}/schedstat`, 'utf8');
  return Number(stat.split(' ')[0]);
}

const start = contenders[request.kind];
if (start === undefined) throw new Error(`no contender ${request.kind}`);
const run = await start();
/** @type {Record<number, number>} */
const results = {};
for (const tokens of request.tokens) {
  const ids = Array.from({ length: tokens }, (_, index) => (index * 977 + 13) % 1900);
  const until = async (/** @type {number} */ ms, /** @type {() => Promise<void>} */ action) => {
    for (const end = performance.now() + ms; performance.now() < end; ) await action();
  };
  let runs = 0;
  const chunkStart = performance.now();
  await until(request.warmMs, async () => {
    await run(ids);
    runs += 1;
  });
  const perChunk = Math.max(1, Math.round((100 * runs) / (performance.now() - chunkStart)));
  /** @type {number[]} */
  const times = [];
  await until(request.measureMs, async () => {
    const before = cpuTime();
    for (let i = 0; i < perChunk; i++) await run(ids);
    const own = (cpuTime() - before) / perChunk / 1e6;
    if (own > 0) times.push(own); // the kernel counts at its ticks only
  });
  times.sort((a, b) => a - b);
  results[tokens] = times[Math.floor(times.length / 10)] ?? Number.NaN;
}
process.stdout.write(JSON.stringify(results));
