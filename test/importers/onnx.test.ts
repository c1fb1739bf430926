import { describe, expect, test } from 'vitest';
import { importHuggingFace } from '../../toolchain/importers/huggingface.ts';
import { importOnnx } from '../../toolchain/importers/onnx/import.ts';
import {
  floatOutput,
  integerGraph,
  meanOfRows,
  relativeError,
  roundedOutput,
} from './compare-graphs.ts';
import { type Golden, modelFiles, readJson, sourceNames } from './export-files.ts';

const pooling = 'mean' as const;

describe('folders of transformers compute what transformers computes', () => {
  test.each(sourceNames())('%s', (source) => {
    const model = importHuggingFace(modelFiles(source), source, { pooling });
    for (const golden of readJson<Golden[]>(`${source}/golden.json`)) {
      expect(errorOf(model, golden)).toBeLessThan(1e-5);
    }
  });
});

const goldenOfOnnx = readJson<Record<string, Golden[]>>('onnx.json');
const variants = Object.keys(goldenOfOnnx);
const isInt8 = (variant: string) => variant.includes('/int8-');

function importVariant(variant: string) {
  const [source, name] = variant.split('/') as [string, string];
  return importOnnx(modelFiles(source), `${name}.onnx`, name, { pooling });
}

describe('ONNX exports compute what onnxruntime computes', () => {
  test.each(variants.filter((one) => !isInt8(one)))('%s', (variant) => {
    const model = importVariant(variant);
    for (const golden of goldenOfOnnx[variant]!) {
      expect(errorOf(model, golden, variant)).toBeLessThan(1e-3);
    }
  });
});

/** The model's own output, or what the export makes of it behind its logits. */
function errorOf(
  model: ReturnType<typeof importVariant>,
  { ids, segmentStart, values }: Golden,
  variant = '',
): number {
  const output = floatOutput(model, { ids: Int32Array.from(ids), segmentStart });
  const isPooledHere = model.card.kind === 'embedding' && values.length > output.length;
  const expected = isPooledHere ? meanOfRows(values, output.length) : values;
  return relativeError(finished(output, variant), expected);
}

function finished(output: readonly number[], variant: string): readonly number[] {
  if (variant.endsWith('-sigmoid')) return output.map((value) => 1 / (1 + Math.exp(-value)));
  if (variant.endsWith('-softmax')) {
    const sum = output.reduce((total, value) => total + Math.exp(value), 0);
    return output.map((value) => Math.exp(value) / sum);
  }
  if (!variant.endsWith('-unit-length')) return output;
  const length = Math.hypot(...output);
  return output.map((value) => value / length);
}

/** Other weights: rounded to halves or int8, or without the second segment. */
const isOtherModel = /half|int8|no-segments|ids-only|^roberta\/optimum/;

describe('ONNX exports become the integer graph of the folder they are of, bit for bit', () => {
  test.each(variants.filter((one) => !isOtherModel.test(one)))('%s', (variant) => {
    const [source] = variant.split('/') as [string];
    expect(Buffer.compare(integerGraph(importVariant(variant)), graphOfFolder(source))).toBe(0);
  });
});

const knownFolders = new Map<string, Uint8Array>();

/** Made once for all exports of a folder. */
function graphOfFolder(source: string): Uint8Array {
  const graph =
    knownFolders.get(source) ??
    integerGraph(importHuggingFace(modelFiles(source), source, { pooling }));
  knownFolders.set(source, graph);
  return graph;
}

describe('int8 models keep their codes and scales', () => {
  test.each(variants.filter((one) => /int8-(qdq|operators)/.test(one)))('%s', (variant) => {
    const { graph, stored } = importVariant(variant);
    const weights = Object.values(graph.tensors).filter(({ dtype }) => dtype === 'int8');
    // Of two layers with six products each; the pooler's and classifier's Gemm may stay float.
    expect(weights.length).toBeGreaterThanOrEqual(12);
    expect(stored!.size).toBeGreaterThanOrEqual(12);
  });

  test.each(variants.filter(isInt8))('%s answers as onnxruntime does', (variant) => {
    const model = importVariant(variant);
    for (const { ids, segmentStart, values } of goldenOfOnnx[variant]!) {
      const output = roundedOutput(model, { ids: Int32Array.from(ids), segmentStart });
      expect(output.indexOf(Math.max(...output))).toBe(values.indexOf(Math.max(...values)));
      // It also rounds scores and weights within an attention; of a dynamic model only activations.
      const bound = variant.endsWith('dynamic') ? 0.01 : 0.04;
      expect(relativeError(output, values)).toBeLessThan(bound);
    }
  });
});
