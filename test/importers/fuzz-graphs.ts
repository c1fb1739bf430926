/**
 * Damaged graph files of every format, for `fuzz`.
 *
 * Run alone: node test/importers/fuzz-graphs.ts <folder|onnx|tfjs|tflite> [cases] [seed]
 */
import { filesFromMemory } from '../../toolchain/importers/files.ts';
import { importOnnx } from '../../toolchain/importers/onnx/import.ts';
import { onnxModelType } from '../../toolchain/importers/onnx/schema.ts';
import { importTfjs } from '../../toolchain/importers/tfjs/import.ts';
import { importTflite } from '../../toolchain/importers/tflite/import.ts';
import { filesOfSource } from './export-files.ts';
import {
  checkpoints,
  commonMutations,
  editValue,
  type FuzzSubject,
  fuzz,
  ofBytes,
  type Random,
} from './fuzz.ts';
import type { Files } from './model-files.ts';

/** One file of a source as the model of a folder of its own. */
function onlyModel(
  source: string,
  file: string,
  name: string,
  more: readonly string[] = [],
): Files {
  const files = filesOfSource(source);
  const kept = ['vocab.txt', ...more].map((one) => [one, files[one]!] as const);
  return { ...Object.fromEntries(kept), [name]: files[file]! };
}

/** A field of the decoded message replaced by something else, and the message encoded again. */
function editMessage(bytes: Uint8Array, random: Random): Uint8Array {
  try {
    const message = onnxModelType.toObject(onnxModelType.decode(bytes), {
      ...{ bytes: String, longs: Number },
    });
    const edited = onnxModelType.fromObject(editValue(message, random) as object);
    // A copy, for a Buffer's slices are views.
    return new Uint8Array(onnxModelType.encode(edited).finish());
  } catch {
    return bytes; // broken before, or a value that no message can have
  }
}

/** A word that may be an offset, a count or a number becomes another. */
function editWord(bytes: Uint8Array, random: Random): Uint8Array {
  if (bytes.length < 8) return bytes;
  const changed = bytes.slice();
  const view = new DataView(changed.buffer);
  const at = 4 * random.below(changed.length >> 2);
  const old = view.getInt32(at, true);
  const value = random.pick([
    0,
    1,
    -1,
    old + 1,
    old - 1,
    old + 4,
    old * 2,
    2 ** 31 - 1,
    7,
    0x10000,
  ]);
  view.setInt32(at, value, true);
  return changed;
}

export const graphSubjects = {
  onnx: () => ({
    bases: [
      onlyModel('bert', 'torchscript-14-sdpa.onnx', 'model.onnx'),
      onlyModel('bert', 'fused.onnx', 'model.onnx'),
      onlyModel('bert', 'int8-qdq.onnx', 'model.onnx'),
      onlyModel('bert', 'external.onnx', 'model.onnx', ['external.weights']),
      onlyModel('distilbert', 'dynamo-20.onnx', 'model.onnx'),
      onlyModel('modernbert', 'dynamo-20.onnx', 'model.onnx', ['config.json']),
    ],
    mutations: [...commonMutations, ofBytes(editMessage, '.onnx'), ofBytes(editMessage, '.onnx')],
    read: (files) => importOnnx(filesFromMemory(files), 'model.onnx', 'fuzz'),
  }),
  tfjs: () => ({
    bases: ['tfjs/module', 'tfjs/keras', 'tfjs/module-uint8', 'tfjs/sharded', 'tfjs/layers'].map(
      filesOfSource,
    ),
    mutations: commonMutations,
    read: (files) => importTfjs(filesFromMemory(files), 'model.json', 'fuzz'),
  }),
  tflite: () => ({
    bases: ['module', 'int8', 'half'].map((name) =>
      onlyModel('tflite', `${name}.tflite`, 'model.tflite'),
    ),
    mutations: [...commonMutations, ofBytes(editWord, '.tflite'), ofBytes(editWord, '.tflite')],
    read: (files) => importTflite(filesFromMemory(files), 'model.tflite', 'fuzz'),
  }),
} satisfies Record<string, () => FuzzSubject>;

/** Cases in one round, which starts with another seed: so a find can be run again by itself. */
const roundCases = 2000;

function main([format = '', cases = '100000', seed = '1']: readonly string[]): void {
  const subjects: Readonly<Record<string, () => FuzzSubject>> = {
    folder: checkpoints,
    ...graphSubjects,
  };
  const subject = subjects[format]?.();
  if (subject === undefined) throw new Error(`name one of ${Object.keys(subjects).join(', ')}`);
  const startMs = performance.now();
  const outcomes: Record<string, number> = {};
  let slowestMs = 0;
  for (let done = 0; done < Number(cases); done += roundCases) {
    const count = Math.min(roundCases, Number(cases) - done);
    const round = fuzz(count, Number(seed) + done / roundCases, subject);
    slowestMs = Math.max(slowestMs, round.slowestMs);
    for (const [code, own] of Object.entries(round.outcomes)) {
      outcomes[code] = (outcomes[code] ?? 0) + own;
    }
  }
  const seconds = Math.round((performance.now() - startMs) / 1000);
  const peakMegabytes = Math.round(process.resourceUsage().maxRSS / 1024);
  const result = { format, cases: Number(cases), seconds, slowestMs, peakMegabytes, outcomes };
  console.log(JSON.stringify(result, null, 2));
}

if (import.meta.main) main(process.argv.slice(2));
