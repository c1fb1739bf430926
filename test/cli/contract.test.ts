/** What other programs rely on: the files of a build, the JSON of each command, what is never lost. */
import { execFileSync, spawn } from 'node:child_process';
import {
  appendFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { digestOf, filesBelow } from '../../toolchain/build/out-folder.ts';
import { wantsJson } from '../../toolchain/cli/answer.ts';
import { packagePath } from '../../toolchain/package-root.ts';
import { hasCompiler, hasEmulator } from '../firmware/fake-firmware.ts';
import { lm2mcu, lm2mcuHere, start, temporaryFolder } from './lm2mcu.ts';

const folder = temporaryFolder();
const at = (...parts: string[]) => join(folder.path, ...parts);
const fixture = (name: string) => packagePath('test', 'fixtures', 'hf', name);

async function json(args: readonly string[]) {
  const { stdout, stderr, code } = await lm2mcu([...args, '--json'], folder.path);
  expect(code, stderr + stdout).toBe(0);
  return JSON.parse(stdout);
}

/** The same without a process, which is quicker: for what only the answer tells. */
async function jsonHere(args: readonly string[]) {
  const { json, text } = await lm2mcuHere(args, folder.path);
  expect(json.code, text.stderr).toBe(0);
  return JSON.parse(json.stdout);
}

function build(model: string, out: string, ...more: readonly string[]) {
  return ['build', model, '--target', 'nrf52840-dk', '--max-tokens', '24', '--out', out, ...more];
}

beforeAll(() => {
  for (const name of ['seqcls-gelu', 'tokcls-relu', 'embed-tanh-bf16']) {
    cpSync(fixture(name), at(name), { recursive: true });
  }
  const texts = ['a lamp', 'the door is open', 'nothing at all'];
  const labels = ['light', 1, null];
  const lines = texts.map((text, index) => JSON.stringify({ text, label: labels[index] }));
  writeFileSync(at('data.jsonl'), `${lines.join('\n')}\n`);
});
afterAll(folder.remove);

describe.skipIf(!hasCompiler || !hasEmulator)('firmware', () => {
  beforeAll(async () => {
    await json(build('seqcls-gelu', 'out', '--calibrate', 'data.jsonl'));
  });

  test('all files are there, with their hashes in the manifest', () => {
    const files = filesBelow(at('out'));
    for (const name of [
      'graph.bin',
      'report.json',
      'report.html',
      'firmware.elf',
      'firmware.bin',
    ]) {
      expect(files).toContain(name);
    }
    const { outputs, inputs, options } = JSON.parse(
      readFileSync(at('out', 'manifest.json'), 'utf8'),
    );
    expect(Object.keys(outputs)).toEqual(files.filter((name) => name !== 'manifest.json'));
    for (const name of Object.keys(outputs)) {
      expect(outputs[name]).toBe(digestOf(readFileSync(at('out', name))));
    }
    expect(inputs.calibrate).toBe(digestOf(readFileSync(at('data.jsonl'))));
    expect(options).toEqual({
      ...{ target: 'nrf52840-dk', maxTokens: 24, pooling: null, plan: 'fits', emit: 'firmware' },
      ...{ kernels: 'native', weights: 'int8', maxArena: null, cache: 'full' },
    });
  });

  test('two builds are the same bytes, wherever they lie', async () => {
    await json(build('seqcls-gelu', 'elsewhere/deep/out', '--calibrate', 'data.jsonl'));
    const again = at('elsewhere', 'deep', 'out');
    expect(filesBelow(again)).toEqual(filesBelow(at('out')));
    for (const name of filesBelow(again)) {
      const bytes = readFileSync(join(again, name));
      expect(bytes.equals(readFileSync(at('out', name))), name).toBe(true);
      expect(bytes.includes(folder.path), `${name} holds a path`).toBe(false);
    }
  });

  test('run and eval need graph.bin and the images only', async () => {
    const { logits } = await json(['run', 'out', '--text', 'the lamp', '--pair', 'a door']);
    for (const on of ['emulator', 'interpreter', 'program', 'host']) {
      const answer = await json([
        'run',
        'out',
        '--text',
        'the lamp',
        '--pair',
        'a door',
        '--on',
        on,
      ]);
      expect(Object.keys(answer)).toEqual([
        ...['on', 'tokens', 'truncated', 'label', 'scores', 'logits', 'instructions'],
      ]);
      expect(answer.on).toBe(on);
      expect(answer.logits).toEqual(logits);
      const sum = Object.values<number>(answer.scores).reduce((a, b) => a + b, 0);
      expect(sum).toBeCloseTo(1, 9);
      expect(answer.scores[answer.label]).toBe(Math.max(...Object.values<number>(answer.scores)));
    }
    const { on, examples, floatAccuracy, accuracy, accuracyLoss } = await json([
      ...['eval', 'out', '--data', 'data.jsonl'],
    ]);
    expect([on, examples, floatAccuracy, accuracyLoss]).toEqual(['emulator', 3, null, null]);
    expect(accuracy).toBeGreaterThanOrEqual(0);
  });

  test('eval compares with the float model, and only with the right one', async () => {
    const args = ['eval', 'out', '--data', 'data.jsonl', '--on', 'interpreter', '--model'];
    const { accuracy, agreement, floatAccuracy, accuracyLoss, maxLogitError } = await jsonHere([
      ...[...args, 'seqcls-gelu'],
    ]);
    expect(agreement).toBeGreaterThan(0);
    expect(accuracyLoss.points).toBeCloseTo(100 * (floatAccuracy - accuracy), 9);
    expect(accuracyLoss.low).toBeLessThanOrEqual(accuracyLoss.points);
    expect(accuracyLoss.high).toBeGreaterThanOrEqual(accuracyLoss.points);
    expect(maxLogitError).toBeGreaterThan(0);
    const other = await lm2mcuHere([...args, 'tokcls-relu'], folder.path);
    expect(other.text.stderr).toContain('is not the model that "out" was built from');
    writeFileSync(at('wrong.jsonl'), '{"text": "x", "label": "lihgt"}\n');
    const wrong = await lm2mcuHere(['eval', 'out', '--data', 'wrong.jsonl'], folder.path);
    expect(wrong.text.stderr).toContain('the model has no label "lihgt"');
    expect(wrong.text.stderr).toContain('wrong.jsonl:1');
    expect(wrong.text.stderr).toContain('Did you mean light?');
  });

  test('report in each form, and the difference to itself', async () => {
    const report = await jsonHere(['report', 'out']);
    expect(report.target.name).toBe('nrf52840-dk');
    for (const format of ['text', 'html', 'md', 'json']) {
      const { text } = await lm2mcuHere(['report', 'out', '--format', format], folder.path);
      expect(text.stdout.length).toBeGreaterThan(500);
    }
    expect((await lm2mcuHere(['report', 'out', '--diff', 'out'], folder.path)).text.code).toBe(0);
  });

  test('a build that fails leaves the older one as it was, and nothing beside it', async () => {
    const before = readFileSync(at('out', 'manifest.json'));
    const { code, stdout } = await lm2mcu(
      [
        'build',
        'seqcls-gelu',
        '--target',
        'nrf52840-dk',
        '--max-tokens',
        '999',
        '--out',
        'out',
        '--json',
      ],
      folder.path,
    );
    expect([code, JSON.parse(stdout).error.code]).toEqual([1, 'bad-max-tokens']);
    expect(readFileSync(at('out', 'manifest.json')).equals(before)).toBe(true);
    expect(readdirSync(folder.path).filter((name) => name.startsWith('.'))).toEqual([]);
  });

  test('a file that was added or changed is not overwritten', async () => {
    cpSync(at('out'), at('changed'), { recursive: true });
    writeFileSync(at('changed', 'notes.txt'), 'mine');
    appendFileSync(at('changed', 'sources', 'lm2mcu_model.c'), '/* mine */\n');
    const { code, stderr } = await lm2mcu(build('seqcls-gelu', 'changed'), folder.path);
    expect(code).toBe(1);
    expect(stderr).toContain('notes.txt, sources/lm2mcu_model.c');
    expect(readFileSync(at('changed', 'notes.txt'), 'utf8')).toBe('mine');
  });

  test('an image of another build is found out', async () => {
    cpSync(at('out'), at('mixed'), { recursive: true });
    appendFileSync(at('mixed', 'firmware-twin.elf'), 'x');
    const { code, stderr } = await lm2mcu(['run', 'mixed', '--text', 'x'], folder.path);
    expect(code).toBe(1);
    expect(stderr).toContain('firmware-twin.elf is not the file that this build wrote');
    rmSync(at('mixed', 'firmware-twin.elf'));
    rmSync(at('mixed', 'firmware.elf'));
    const without = await lm2mcu(['run', 'mixed', '--text', 'x', '--on', 'emulator'], folder.path);
    expect(without.stderr).toContain('there is no firmware image beside graph.bin');
  });

  test.each([
    [build('seqcls-gelu', 'no-compiler'), 'missing-compiler'],
    [['run', 'out', '--text', 'x'], 'missing-emulator'],
    [['run', 'out', '--text', 'x', '--on', 'host'], 'missing-host-compiler'],
    [['doctor'], 'missing-tools'],
  ])('a host without tools: %j', async (args, expected) => {
    const { code, stdout } = await lm2mcu([...args, '--json'], folder.path, {
      PATH: at('nowhere'),
    });
    expect([code, JSON.parse(stdout).error.code]).toEqual([2, expected]);
    expect(JSON.parse(stdout).error.hint).not.toBe('');
    expect(readdirSync(folder.path).filter((name) => name.startsWith('.'))).toEqual([]);
  });

  test('a missing compiler is noticed before the model is read', async () => {
    const { stderr } = await lm2mcu(build('no-model', 'no-compiler'), folder.path, {
      PATH: at('nowhere'),
    });
    expect(stderr).toContain('arm-none-eabi-gcc is not installed');
  });

  test('an interrupted compilation for the host leaves no folder behind', async () => {
    mkdirSync(at('tmp'));
    const { child, ended } = start(['run', 'out', '--text', 'x', '--on', 'host'], folder.path, {
      TMPDIR: at('tmp'),
    });
    const ours = () => readdirSync(at('tmp')).filter((name) => name.startsWith('lm2mcu-'));
    await vi.waitUntil(() => ours().length > 0, { timeout: 20_000 });
    child.kill('SIGTERM');
    expect((await ended).signal).toBe('SIGTERM');
    expect(ours()).toEqual([]);
  });

  test('an interrupt before the emulator speaks ends the emulator', async () => {
    mkdirSync(at('bin'));
    const beat = at('beat');
    const fake = `#!/bin/sh\nwhile :; do echo x >> '${beat}'; sleep 0.05; done\n`;
    writeFileSync(at('bin', 'qemu-system-arm'), fake, { mode: 0o755 });
    const { child, ended } = start(['run', 'out', '--text', 'x'], folder.path, {
      PATH: `${at('bin')}:${process.env['PATH']}`,
    });
    await vi.waitUntil(() => existsSync(beat), { timeout: 20_000 });
    child.kill('SIGTERM');
    expect((await ended).signal).toBe('SIGTERM');
    const beats = statSync(beat).size;
    await new Promise((resolve) => setTimeout(resolve, 500));
    expect(statSync(beat).size).toBe(beats);
  });

  test('an interrupted build leaves nothing behind', async () => {
    const { child, ended } = start(build('seqcls-gelu', 'interrupted'), folder.path);
    child.stderr.on('data', (text: string) => {
      if (text.includes('link')) child.kill('SIGINT');
    });
    const { signal } = await ended;
    expect(signal).toBe('SIGINT');
    expect(existsSync(at('interrupted'))).toBe(false);
    expect(readdirSync(folder.path).filter((name) => name.startsWith('.'))).toEqual([]);
  });
});

test('a library is sources only; without --max-tokens for all that a short model takes', async () => {
  const args = ['build', 'seqcls-gelu', '--target', 'nrf52840-dk', '--emit', 'library'];
  const { files, report } = await jsonHere([...args, '--out', 'lib']);
  const manifest = JSON.parse(readFileSync(at('lib', 'manifest.json'), 'utf8'));
  const { max_position_embeddings: positions } = JSON.parse(
    readFileSync(at('seqcls-gelu', 'config.json'), 'utf8'),
  );
  expect(positions).toBeLessThan(128);
  expect([report.maxTokens, manifest.options.maxTokens]).toEqual([positions, positions]);
  expect(files).toContain('library/CMakeLists.txt');
  expect(files).not.toContain('firmware.elf');
  expect(report.flash.usedBytes).toBeNull();
  const { on } = await jsonHere(['run', 'lib', '--text', 'x']);
  expect(on).toBe('interpreter');
});

test('heads: a label a token, an embedding', async () => {
  await jsonHere(build('tokcls-relu', 'tags', '--emit', 'library'));
  const tags = await jsonHere(['run', 'tags', '--text', 'one two three']);
  expect(tags.label).toBeNull();
  expect(tags.tokenLabels).toHaveLength(tags.tokens);
  expect(tags.logits).toHaveLength(tags.tokens);
  await jsonHere(build('embed-tanh-bf16', 'vector', '--emit', 'library', '--pooling', 'mean'));
  rmSync(at('vector', 'manifest.json'));
  const vector = await jsonHere(['run', 'vector', '--text', 'one two three']);
  expect(vector.embedding.every(Number.isFinite)).toBe(true);
  const { accuracy, agreement, maxLogitError } = await jsonHere([
    ...['eval', 'vector', '--data', 'data.jsonl', '--model', 'embed-tanh-bf16'],
  ]);
  expect([accuracy, agreement]).toEqual([null, null]);
  expect(maxLogitError).toBeGreaterThan(0);
});

test('eval pools the float model as the built one, with nothing but graph.bin', async () => {
  const errors: number[] = [];
  for (const pooling of ['mean', 'cls']) {
    const flags = ['--emit', 'library', '--pooling', pooling, '--calibrate', 'data.jsonl'];
    await jsonHere(build('embed-tanh-bf16', pooling, ...flags));
    rmSync(at(pooling, 'manifest.json'));
    const args = ['eval', pooling, '--data', 'data.jsonl', '--model', 'embed-tanh-bf16'];
    errors.push((await jsonHere(args)).maxLogitError);
  }
  expect(Math.max(...errors)).toBeLessThan(0.2);
});

test('calibration texts may come from a pipe', async () => {
  execFileSync('mkfifo', [at('pipe')]);
  const writer = spawn('cp', [at('data.jsonl'), at('pipe')]);
  await json(build('seqcls-gelu', 'piped', '--emit', 'library', '--calibrate', 'pipe'));
  writer.kill();
  const { inputs } = JSON.parse(readFileSync(at('piped', 'manifest.json'), 'utf8'));
  expect(inputs.calibrate).toBe(digestOf(readFileSync(at('data.jsonl'))));
});

test.each<[readonly string[], boolean]>([
  [['--json'], true],
  [['--json=true'], true],
  [['--json', 'true'], true],
  [['--json=false'], false],
  [['--json', '--json=false'], false],
])('%j: JSON is %s', async (flags, isJson) => {
  const args = ['targets', 'nrf52840-dk', ...flags];
  expect(wantsJson(args)).toBe(isJson);
  expect((await lm2mcuHere(args, folder.path)).text.code).toBe(0);
});

test.each(['nrf52840-dk', 'nowhere'])(
  'targets %s prints JSON if and only if asked to',
  async (name) => {
    for (const flags of [[], ['--json']]) {
      const { stdout } = await lm2mcu(['targets', name, ...flags], folder.path);
      expect(stdout.startsWith('{')).toBe(flags.length > 0);
    }
  },
);

test.skipIf(process.getuid?.() === 0)('a folder that may not be written to', async () => {
  const { stderr, code } = await lm2mcu(build('seqcls-gelu', '/out'), folder.path);
  expect(code).toBe(1);
  expect(stderr).toContain('"/out" cannot be written: permission denied');
});

test('a closed pipe is no error', async () => {
  const { child, ended } = start(['targets', 'stm32f746g-disco'], folder.path);
  child.stdout.destroy();
  expect(await ended).toMatchObject({ code: 0, stderr: '' });
});

test('the launcher can be executed', () => {
  expect(statSync(packagePath('toolchain', 'cli', 'lm2mcu.js')).mode & 0o111).not.toBe(0);
});
