/** The whole search on a small model: stopped by a signal, taken up again, and what it says it found. */
import { existsSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { codeBytes } from '../../toolchain/compress/prepare.ts';
import { seededRandom } from '../../toolchain/compress/random.ts';
import { packagePath } from '../../toolchain/package-root.ts';
import { lm2mcu, start, temporaryFolder } from '../cli/lm2mcu.ts';

const folder = temporaryFolder();
afterAll(folder.remove);
const at = (...parts: string[]) => join(folder.path, ...parts);
const model = packagePath('test', 'fixtures', 'hf', 'seqcls-gelu');

function search(out: string, ...more: readonly string[]): readonly string[] {
  const flags = ['--max-tokens', '24', '--max-accuracy-drop', '100', '--flash-budget', '100000'];
  const given = ['compress', model, '--data', 'data.jsonl', '--target', 'nrf52840-dk'];
  return [...given, ...flags, '--out', out, ...more];
}

test('a search that was interrupted goes on where it was, to the same recipe', async () => {
  const words = ['lamp', 'door', 'open', 'light', 'on', 'the', 'a', 'not'];
  const random = seededRandom(3);
  const text = () =>
    Array.from({ length: 12 }, () => words[Math.floor(random() * words.length)]).join(' ');
  const lines = Array.from({ length: 40 }, (_, index) =>
    JSON.stringify({ text: text(), ...(index % 3 === 0 ? { label: 'light' } : {}) }),
  );
  writeFileSync(at('data.jsonl'), lines.join('\n'));

  const stopped = start(search('stopped'), folder.path);
  const stepsOf = () =>
    existsSync(at('stopped', 'steps'))
      ? readdirSync(at('stopped', 'steps')).filter((name) => name.endsWith('.step'))
      : [];
  while (stepsOf().length < 5) await new Promise((resolve) => setTimeout(resolve, 5));
  stopped.child.kill('SIGINT');
  expect((await stopped.ended).code).not.toBe(0);
  expect(existsSync(at('stopped', 'recipe.json'))).toBe(false);
  const kept = stepsOf().map((name) => [name, statSync(at('stopped', 'steps', name)).mtimeMs]);

  const resumed = await lm2mcu([...search('stopped', '--resume'), '--json'], folder.path);
  const whole = await lm2mcu([...search('whole'), '--json'], folder.path);
  expect([resumed.code, whole.code], resumed.stderr + whole.stderr).toEqual([0, 0]);
  for (const [name, time] of kept) {
    expect(statSync(at('stopped', 'steps', String(name))).mtimeMs).toBe(time);
  }
  for (const name of ['recipe.json', 'recipe.safetensors', 'search.html']) {
    expect(readFileSync(at('stopped', name))).toEqual(readFileSync(at('whole', name)));
  }

  // Its size is that of what a build emits, and its integers were run.
  const { chosen, integers } = JSON.parse(whole.stdout);
  expect(chosen.bytes).toBeLessThanOrEqual(100_000);
  expect(integers.texts).toBe(4);
  expect(integers.agreement).toBeGreaterThan(0);
  const build = ['build', model, '--target', 'nrf52840-dk', '--max-tokens', '24', '--out', 'image'];
  const recipe = ['--recipe', 'whole/recipe.json', '--calibrate', 'data.jsonl'];
  const built = await lm2mcu([...build, ...recipe, '--emit', 'library', '--json'], folder.path);
  expect(built.code, built.stderr).toBe(0);
  const { flash } = JSON.parse(readFileSync(at('image', 'report.json'), 'utf8'));
  const emitted = flash.tokenizerBytes + flash.embeddingBytes + flash.encoderBytes;
  expect(chosen.bytes - codeBytes).toBeGreaterThanOrEqual(emitted);
  expect(chosen.bytes - codeBytes - emitted).toBeLessThan(100);
});
