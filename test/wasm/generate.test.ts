/**
 * model.mjs of models that generate, as its users meet it: the text in whole characters as it comes, the
 * same whatever else the model is asked meanwhile, cancelled, and refused where the options are wrong.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { GenerateOptions, Model } from '../../firmware-templates/wasm/model.d.ts';
import { type Executor, openExecutor } from '../../toolchain/emulate/executor.ts';
import { textOf } from '../../toolchain/generate/text.ts';
import { packagePath } from '../../toolchain/package-root.ts';
import { buildModule } from './build.ts';

const folder = mkdtempSync(join(tmpdir(), 'lm2mcu-generate-'));
let model: Model;
let reference: Executor;

beforeAll(async () => {
  const modelPath = packagePath('test', 'fixtures', 'decoders', 'gpt2');
  const { compiled } = await buildModule({ modelPath, maxTokens: 20, calibration: null }, folder);
  const { load } = await import(pathToFileURL(join(folder, 'model.mjs')).href);
  model = await load();
  reference = await openExecutor('interpreter', { graphBin: compiled.graphBin });
}, 300_000);
afterAll(() => rmSync(folder, { recursive: true }));

const options = fc.record({
  maxNew: fc.integer({ min: 0, max: 30 }),
  temperature: fc.constantFrom(0, 0.1, 0.8, 2, 9),
  topK: fc.integer({ min: 0, max: 50 }),
  topP: fc.constantFrom(0, 0.3, 0.9, 1),
  seed: fc.integer({ min: 0, max: 2 ** 32 - 1 }),
});
const prompts = fc.string({ unit: 'binary', minLength: 1, maxLength: 30 });

/** What the definition of the bits generates, as the module says it. */
async function expected(prompt: string, { maxNew, temperature, topP, ...rest }: SomeOptions) {
  const { generated, tokens, truncated, stopped } = await reference.generate(
    { text: Buffer.from(prompt).toString() },
    {
      ...{ ...rest, mostTokens: maxNew },
      ...{ temperature: Math.round(1000 * temperature), topP: Math.round(1000 * topP) },
    },
  );
  const { idOrder, tokenizer } = reference.model;
  const text = textOf(
    tokenizer,
    generated.map((id) => idOrder[id]!),
  );
  return { text, ids: generated, tokens, truncated, stopped };
}

type SomeOptions = Required<Omit<GenerateOptions, 'onToken' | 'signal'>>;

test('any prompt and any sampling, in whole characters', async () => {
  await fc.assert(
    fc.asyncProperty(prompts, options, async (prompt, sampling) => {
      const pieces: string[] = [];
      const answer = await model.generate(prompt, {
        ...sampling,
        onToken: (piece) => pieces.push(piece),
      });
      expect(answer).toEqual(await expected(prompt, sampling));
      expect(pieces.join('')).toBe(answer.text);
      expect(pieces).not.toContain('');
    }),
    { numRuns: 60, seed: 1 },
  );
});

test('two at a time, and other questions between their tokens', async () => {
  const sampling = { maxNew: 12, temperature: 0.9, topK: 0, topP: 1, seed: 5 };
  const ask = async () => {
    // Between tokens others have their turn only when some time has passed.
    const { now } = performance;
    let clock = 0;
    performance.now = () => {
      clock += 100;
      return clock;
    };
    try {
      const both = Promise.all([
        model.generate('import', sampling),
        model.generate('def', { ...sampling, seed: 6 }),
      ]);
      for (let turn = 0; turn < 6; turn++) {
        await new Promise((resolve) => setTimeout(resolve));
        model.tokenize('something else');
        if (turn % 2 === 0) model.run([1, 2, 3]);
      }
      return await both;
    } finally {
      performance.now = now;
    }
  };
  expect(await ask()).toEqual([
    await expected('import', sampling),
    await expected('def', { ...sampling, seed: 6 }),
  ]);
});

test('a signal ends it after the token that is being made', async () => {
  const abort = new AbortController();
  let pieces = 0;
  const { ids, stopped } = await model.generate('import', {
    ...{ maxNew: 15, temperature: 1, seed: 1, signal: abort.signal },
    onToken: () => {
      pieces += 1;
      if (pieces === 2) abort.abort();
    },
  });
  expect(stopped).toBe('cancelled');
  expect(ids.length).toBeLessThan(15);
  const whole = await model.generate('import', { maxNew: 15, temperature: 1, seed: 1 });
  expect(whole.ids.slice(0, ids.length)).toEqual(ids);
});

test('logits behind every token are those of runs that end there', () => {
  const ids = [3, 1, 4, 1, 5, 9, 2, 6];
  const rows = model.foresee(ids);
  const columns = rows.length / ids.length;
  for (const index of ids.keys()) {
    const row = rows.slice(index * columns, (index + 1) * columns);
    expect(row).toEqual(model.run(ids.slice(0, index + 1)));
  }
});

test('what is wrong is said', async () => {
  const code = (work: () => unknown) =>
    Promise.resolve()
      .then(work)
      .then(
        () => 'nothing was wrong',
        (error: { code: string }) => error.code,
      );
  expect(await code(() => model.classify('x'))).toBe('wrong-kind');
  expect(await code(() => model.generate(''))).toBe('bad-token');
  expect(await code(() => model.generate({ ids: [70_000] }))).toBe('bad-token');
  for (const wrong of [{ topP: 2 }, { topK: 0.5 }, { temperature: -1 }, { seed: Number.NaN }]) {
    expect(await code(() => model.generate('x', wrong))).toBe('bad-option');
  }
});

test('the executors say the same while they generate, and end alike', async () => {
  const sampling = { mostTokens: 15, temperature: 1000, topK: 0, topP: 1000, seed: 1 };
  const heard = async (most: number) => {
    const controller = new AbortController();
    const pieces: string[] = [];
    const onText = (piece: string): void => {
      pieces.push(piece);
      if (pieces.length === most) controller.abort();
    };
    const { stopped } = await reference.generate({ text: 'import' }, sampling, {
      ...{ onText, signal: controller.signal },
    });
    return { pieces, stopped };
  };
  const whole: string[] = [];
  const options = { maxNew: 15, temperature: 1, seed: 1 };
  await model.generate('import', { ...options, onToken: (piece) => whole.push(piece) });
  expect(await heard(99)).toEqual({ pieces: whole, stopped: 'length' });
  expect(await heard(3)).toEqual({ pieces: whole.slice(0, 3), stopped: 'cancelled' });
});
