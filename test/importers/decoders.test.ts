/** Decoders are read as transformers computes them. */
import { cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { interpret } from '../../toolchain/emulate/interpreter.ts';
import { importModel } from '../../toolchain/importers/index.ts';
import { verify } from '../../toolchain/ir/verify.ts';
import { packagePath } from '../../toolchain/package-root.ts';
import { everyRow } from '../../toolchain/passes/every-row.ts';
import { limitCache } from '../../toolchain/passes/limit-cache.ts';
import { temporaryFolder } from '../firmware/fake-firmware.ts';

interface Golden {
  readonly ids: readonly number[];
  /** (ids, vocabulary) */
  readonly values: readonly number[];
}

const folderOf = (name: string) => packagePath('test', 'fixtures', 'decoders', name);

describe.each(['gpt2', 'opt', 'llama', 'llama-biased', 'merino'])('%s', (name) => {
  const golden: readonly Golden[] = JSON.parse(
    readFileSync(`${folderOf(name)}/golden.json`, 'utf8'),
  );
  const model = importModel(folderOf(name));
  verify(model.graph);

  test('gives the logits of torch for every token', () => {
    const graph = everyRow(model.graph);
    verify(graph);
    for (const { ids, values } of golden) {
      const [out] = interpret(graph, { ids, segmentStart: ids.length });
      const largest = Math.max(...values.map(Math.abs));
      for (const [index, value] of values.entries()) {
        expect(Math.abs(out!.data[index]! - value)).toBeLessThan(1e-3 * largest);
      }
    }
  });

  test('has the logits of the last token as its result', () => {
    for (const { ids, values } of golden) {
      const [out] = interpret(model.graph, { ids, segmentStart: ids.length });
      const every = interpret(everyRow(model.graph), { ids, segmentStart: ids.length })[0]!;
      expect(out!.rows).toBe(1);
      expect([...out!.data]).toEqual([...every.data.slice(-values.length / ids.length)]);
    }
  });

  test('has a card', () => {
    const { kind, maxPositions, vocabularySize, endTokens, labels } = model.card;
    const isBpe = name === 'gpt2';
    expect({ kind, maxPositions, vocabularySize, endTokens, labels }).toEqual({
      kind: 'generation',
      maxPositions: 24,
      vocabularySize: isBpe ? 300 : 40,
      endTokens: [isBpe ? 0 : 3],
      labels: null,
    });
  });
});

test('with rotary positions and a window a text may go on beyond the context', () => {
  const [window, length] = [5, 60];
  const { graph, card } = importModel(folderOf('llama'), { leastPositions: length });
  expect(length).toBeGreaterThan(2 * card.maxPositions);
  const limited = limitCache(graph, { kind: 'window', window, sinks: 0 });
  const layers = graph.nodes.filter(({ op }) => op === 'causalAttention').length;
  const ids = Array.from({ length }, (_, index) => 4 + ((7 * index * index + index) % 36));
  // Nothing further away can be seen, and angles count from query to key: it is as if they came first.
  const latest = ids.slice(-(layers * (window - 1) + 1));
  const [far, near] = [ids, latest].map(
    (tokens) => interpret(limited, { ids: tokens, segmentStart: tokens.length })[0]!.data,
  );
  const largest = Math.max(...Array.from(near!, Math.abs));
  for (const [index, value] of near!.entries()) {
    expect(Math.abs(far![index]! - value)).toBeLessThan(1e-4 * largest);
  }
  const [other] = interpret(limited, { ids: latest.slice(1), segmentStart: latest.length - 1 });
  const differences = Array.from(near!, (value, index) => Math.abs(other!.data[index]! - value));
  expect(Math.max(...differences)).toBeGreaterThan(1e-3 * largest);
});

test('a Unigram tokenizer is refused: no chip could spell what is written', () => {
  const folder = temporaryFolder('unigram-decoder');
  cpSync(folderOf('llama'), folder, { recursive: true });
  rmSync(join(folder, 'vocab.txt'));
  const vocab = [
    ['<unk>', 0],
    ['▁a', -1],
  ];
  const tokenizer = {
    version: '1.0',
    added_tokens: [],
    model: { type: 'Unigram', unk_id: 0, vocab },
  };
  const rules = {
    normalizer: null,
    pre_tokenizer: { type: 'Metaspace', replacement: '▁', prepend_scheme: 'always', split: true },
    post_processor: null,
    decoder: null,
  };
  writeFileSync(join(folder, 'tokenizer.json'), JSON.stringify({ ...tokenizer, ...rules }));
  expect(() => importModel(folder)).toThrow(
    expect.objectContaining({
      message: 'a model that generates text cannot have a Unigram tokenizer',
      details: expect.objectContaining({ code: 'unsupported-tokenizer' }),
    }),
  );
});

describe('Qwen 2', () => {
  const qwen2 = { model_type: 'qwen2', architectures: ['Qwen2ForCausalLM'] };

  function withConfig(changes: object): string {
    const folder = temporaryFolder('qwen2');
    cpSync(folderOf('llama-biased'), folder, { recursive: true });
    const config = JSON.parse(readFileSync(join(folder, 'config.json'), 'utf8'));
    writeFileSync(join(folder, 'config.json'), JSON.stringify({ ...config, ...changes }));
    return folder;
  }

  test('is Llama with biases', () => {
    const [ours, theirs] = [withConfig(qwen2), folderOf('llama-biased')].map((folder) => {
      const { graph } = importModel(folder);
      return interpret(graph, { ids: [5, 17, 4, 30], segmentStart: 4 })[0]!.data;
    });
    expect(ours).toEqual(theirs);
  });

  test.each([
    { use_sliding_window: true },
    { layer_types: ['full_attention', 'sliding_attention'] },
  ])('layers that see a window are refused: %o', (window) => {
    expect(() => importModel(withConfig({ ...qwen2, ...window }))).toThrow(
      'layers that attend to a window of tokens are not supported',
    );
  });
});

test('a head is not so wide that its table of angles fills the memory', () => {
  const folder = temporaryFolder('wide-head');
  cpSync(folderOf('llama'), folder, { recursive: true });
  const config = JSON.parse(readFileSync(join(folder, 'config.json'), 'utf8'));
  writeFileSync(join(folder, 'config.json'), JSON.stringify({ ...config, head_dim: 2 ** 24 - 2 }));
  expect(() => importModel(folder)).toThrow('heads have 16777214 columns');
});
