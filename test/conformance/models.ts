/** Models and texts on which every executor must give the same bits. */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Example } from '../../toolchain/emulate/stored-model.ts';
import { packagePath } from '../../toolchain/package-root.ts';
import type { CompileRequest } from '../../toolchain/pipeline.ts';
import { fixturePath } from '../ir/graphs.ts';
import { makeRandom, randomText } from '../tokenizer/samples.ts';

export interface ConformanceModel {
  readonly name: string;
  readonly request: Omit<CompileRequest, 'target'>;
  readonly examples: readonly Example[];
  /** Targets whose emulators run it; without it all. */
  readonly emulated?: readonly string[] | undefined;
}

/** Every head kind, attention to neighbours, bottlenecks, widths that no vector divides, one and several heads, ReLU, GELU and tanh. */
const fixtures: readonly {
  readonly name: string;
  readonly maxTokens: number;
  readonly pooling?: 'cls' | 'mean';
  readonly emulated?: readonly string[];
}[] = [
  { name: 'seqcls-gelu', maxTokens: 40 },
  { name: 'seqcls-odd-f32', maxTokens: 33 },
  { name: 'tokcls-relu', maxTokens: 48 },
  { name: 'embed-tanh-bf16', maxTokens: 64, pooling: 'mean' },
  { name: 'embed-tanh-bf16', maxTokens: 17, pooling: 'cls' },
  { name: 'modernbert-seqcls', maxTokens: 40 },
  // What it alone has is portable C.
  { name: 'mobilebert-embed', maxTokens: 40, pooling: 'cls', emulated: ['mps3-an547'] },
];

export function fixtureModels(): readonly ConformanceModel[] {
  return fixtures.map(({ name, maxTokens, pooling, emulated }) => ({
    name: pooling === undefined ? name : `${name}, ${pooling}`,
    request: { modelPath: fixturePath(name), pooling, maxTokens, calibration: null },
    examples: [...awkwardExamples, ...randomExamples(20)],
    emulated,
  }));
}

/** No word at all, what the console takes for commands, white space, pairs, special tokens. */
const awkwardExamples: readonly Example[] = [
  { text: '' },
  { text: '   ' },
  { text: '', textPair: '' },
  { text: 'a', textPair: '' },
  { text: '', textPair: 'b' },
  { text: '?' },
  { text: '#ids 1 2 3' },
  { text: '#text hello' },
  { text: '?', textPair: '?' },
  { text: 'one\ttwo\nthree\r\nfour' },
  { text: 'one\ttwo', textPair: 'three\nfour\tfive' },
  { text: 'a [SEP] b [MASK]', textPair: '[CLS]' },
  { text: 'naïve Ångström café', textPair: '深度学习 한국어' },
];

function randomExamples(count: number): readonly Example[] {
  const random = makeRandom(11);
  return Array.from({ length: count }, () => {
    const text = randomText(random).slice(0, 60);
    return random(2) === 0 ? { text } : { text, textPair: randomText(random).slice(0, 60) };
  });
}

const exampleFolder = packagePath('examples', 'debian-sections');
const quickCount = 24;

/** The trained example, or undefined (said aloud) where it is not there. */
export function exampleModel(): ConformanceModel | undefined {
  const modelPath = join(exampleFolder, 'model');
  if (!existsSync(modelPath)) {
    console.warn(`SKIPPED: ${modelPath} is not there`);
    return undefined;
  }
  const texts = readExamples('test.jsonl');
  const count = process.env['LM2MCU_ALL_TEXTS'] === '1' ? texts.length : quickCount;
  const calibration = readExamples('calibration.jsonl').slice(0, 50);
  return {
    name: 'debian-sections',
    request: { modelPath, maxTokens: 128, calibration },
    examples: [...awkwardExamples, ...texts.slice(0, count)],
  };
}

function readExamples(file: string): readonly Example[] {
  const lines = readFileSync(join(exampleFolder, file), 'utf8').trim().split('\n');
  return lines.map((line): Example => JSON.parse(line));
}
