/** Decoders are read as transformers computes them. */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { interpret } from '../../toolchain/emulate/interpreter.ts';
import { importModel } from '../../toolchain/importers/index.ts';
import { verify } from '../../toolchain/ir/verify.ts';
import { packagePath } from '../../toolchain/package-root.ts';
import { everyRow } from '../../toolchain/passes/every-row.ts';

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
