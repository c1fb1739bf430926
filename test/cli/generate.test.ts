/** Models that generate, on the command line: the answers, and what is said of wrong flags. */
import { execFileSync, spawn } from 'node:child_process';
import { cpSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { printable } from '../../flasher/lines.ts';
import { digestOf } from '../../toolchain/build/out-folder.ts';
import type { CachePrice } from '../../toolchain/generate/cache-prices.ts';
import { packagePath } from '../../toolchain/package-root.ts';
import { hasCompiler, hasEmulator } from '../firmware/fake-firmware.ts';
import { lm2mcu, temporaryFolder } from './lm2mcu.ts';

const folder = temporaryFolder();
const at = (...parts: string[]): string => join(folder.path, ...parts);
const json = async (...args: string[]) => {
  const { stdout, code } = await lm2mcu([...args, '--json'], folder.path);
  return { code, ...JSON.parse(stdout) };
};

describe.skipIf(!hasCompiler || !hasEmulator)('a decoder', () => {
  beforeAll(async () => {
    const fixture = packagePath('test', 'fixtures', 'decoders', 'gpt2');
    cpSync(fixture, at('model'), { recursive: true });
    writeFileSync(at('data.jsonl'), '{"text": "import torch"}\n{"text": "def make(name)"}\n');
    const target = ['--target', 'mps2-an386', '--max-tokens', '20'];
    const { code } = await json('build', 'model', ...target, '--out', 'out');
    expect(code).toBe(0);
  }, 120_000);
  afterAll(folder.remove);

  const sampling = ['--temperature', '1.2', '--top-k', '20', '--top-p', '0.9', '--max-new', '6'];

  test('is shown as what it is, with the widths of its blocks', async () => {
    const model = packagePath('test', 'fixtures', 'decoders', 'merino');
    const { architecture } = await json('inspect', model);
    expect(architecture).toMatchObject({ kind: 'decoder', layers: 4, widths: [16, 16, 24, 24] });
  });

  test('says the same on the emulator and by the definition', async () => {
    const run = ['run', 'out', '--text', 'import', ...sampling, '--seed', '11'];
    const { on, instructions, ...answer } = await json(...run);
    expect(on).toBe('emulator');
    expect(Object.keys(instructions)).toEqual(['tokenizer', 'inference', 'generation']);
    expect(answer).toMatchObject({ code: 0, truncated: false, stopped: 'length', label: null });
    expect(answer.generated).toHaveLength(6);
    expect(typeof answer.text).toBe('string');
    const same = { ...answer, on: 'interpreter', instructions: null };
    expect(await json(...run, '--on', 'interpreter')).toEqual(same);
    const other = await json('run', 'out', '--text', 'import', ...sampling, '--seed', '12');
    expect(other.generated).not.toEqual(answer.generated);
  });

  test.skipIf(!existsSync('/usr/bin/script'))('on a terminal the text comes first', async () => {
    const run = ['run', 'out', '--text', 'import', ...sampling, '--seed', '11'];
    const { text } = await json(...run, '--on', 'interpreter');
    for (const on of ['interpreter', 'emulator']) {
      const said = onTerminal([...run, '--on', on]);
      const [first, ...others] = said.split('\r\n\r\n');
      expect(first?.replaceAll('\r\n', '\n')).toContain(printable(text));
      expect(others.join()).toMatch(new RegExp(`^on {8}${on}.*tokens {4}5\r\n`, 's'));
      expect(others.join()).toContain(
        'generated 6 tokens; as many tokens as asked for (--max-new)',
      );
    }
  });

  test('without a token to generate it only reads the prompt', async () => {
    const run = ['run', 'out', '--text', 'import', '--max-new', '0'];
    const { on, instructions, ...answer } = await json(...run);
    expect(on).toBe('emulator');
    expect(instructions).toMatchObject({ inference: expect.any(Number), generation: 0 });
    expect(answer).toMatchObject({ code: 0, generated: [], text: '', stopped: 'length' });
    const same = { ...answer, on: 'interpreter', instructions: null };
    expect(await json(...run, '--on', 'interpreter')).toEqual(same);
  });

  test('ends where the context ends, and says that a prompt was cut', async () => {
    const text = 'a long text with more tokens than there is room for, by far';
    const run = ['run', 'out', '--text', text, '--on', 'program'];
    const answer = await json(...run);
    expect(answer).toMatchObject({ tokens: 20, truncated: true, stopped: 'context' });
    expect(answer.generated).toHaveLength(1);
    const { stdout } = await lm2mcu(run, folder.path);
    expect(stdout).toContain(
      'generated 1 token; the prompt was cut to 20 tokens and leaves room for 1: use a shorter one, or build with a larger --max-tokens\n',
    );
  });

  test('compress writes a recipe of matrices in four bits, which build follows', async () => {
    const lines = Array.from({ length: 20 }, (_, i) => `{"text": "import torch as t${i}"}\n`);
    writeFileSync(at('twenty.jsonl'), lines.join(''));
    const target = ['--target', 'mps2-an386', '--max-tokens', '20'];
    const data = ['--data', 'twenty.jsonl', '--max-perplexity-rise', '1000'];
    const found = await json('compress', 'model', ...target, ...data, '--out', 'recipe');
    expect(found).toMatchObject({ code: 0, chosen: { matrices: { length: 12 } } });
    const recipe = ['--recipe', found.recipe, '--calibrate', 'twenty.jsonl', '--out', 'small'];
    expect((await json('build', 'model', ...target, ...recipe)).code).toBe(0);
    const run = ['run', 'small', '--text', 'import', ...sampling];
    const { on, instructions, ...answer } = await json(...run);
    expect(on).toBe('emulator');
    const same = { ...answer, on: 'interpreter', instructions: null };
    expect(await json(...run, '--on', 'interpreter')).toEqual(same);
    // Both are compared with the model as it was trained.
    const evaluated = ['--data', 'data.jsonl', '--model', 'model', '--on', 'interpreter'];
    const { floatPerplexity, perplexity } = await json('eval', 'small', ...evaluated);
    const whole = await json('eval', 'out', ...evaluated);
    expect(floatPerplexity).toBe(whole.floatPerplexity);
    expect(perplexity).not.toBe(whole.perplexity);
  });

  test('says only what a list of commands permits, and the report has its bytes', async () => {
    writeFileSync(at('commands.txt'), 'turn on\nturn off\n');
    const target = ['--target', 'mps2-an386', '--max-tokens', '20', '--commands', 'commands.txt'];
    const { report } = await json('build', 'model', ...target, '--out', 'house');
    expect(report.flash.constraintBytes).toBeGreaterThan(50);
    const manifest = JSON.parse(readFileSync(at('house', 'manifest.json'), 'utf8'));
    expect(manifest.inputs.constraint).toMatch(/^sha256:/);
    const run = ['run', 'house', '--text', 'x', '--on', 'interpreter'];
    const said = await json(...run, '--temperature', '2', '--seed', '3');
    expect(said).toMatchObject({ stopped: 'end', complete: true });
    expect(said.text).toMatch(/^turn (on|off)$/);
    const cut = await json(...run, '--max-new', '2');
    expect(cut).toMatchObject({ stopped: 'length', complete: false });
    const nothing = ['run', 'house', '--text', 'x', '--max-new', '0'];
    for (const on of ['interpreter', 'emulator']) {
      const answer = await json(...nothing, '--on', on);
      expect(answer, on).toMatchObject({ generated: [], stopped: 'length', complete: false });
    }
    const { stdout } = await lm2mcu([...run, '--max-new', '2'], folder.path);
    expect(stdout).toContain('(--max-new), before what the constraint demands');
  });

  test('eval gives its perplexity, and what smaller caches would cost', async () => {
    const flags = ['--data', 'data.jsonl', '--model', 'model', '--cache-prices'];
    const evaluated = await json('eval', 'out', ...flags);
    const { perplexity, floatPerplexity, tokens } = evaluated;
    expect(evaluated).toMatchObject({ code: 0, examples: 2, accuracy: null });
    expect(tokens).toBeGreaterThan(5);
    expect(Math.abs(perplexity / floatPerplexity - 1)).toBeLessThan(0.05);
    const [full, ...others]: readonly CachePrice[] = evaluated.cachePrices;
    expect(full).toMatchObject({ cache: 'full', perplexity });
    expect(others.map(({ cache }) => cache)).toContain('window:6,sinks:4');
    for (const other of others) {
      expect(other.cacheBytes, other.cache).toBeLessThan(full!.cacheBytes);
      expect(other.arenaBytes).toBeLessThan(full!.arenaBytes);
      expect(other.perplexity).not.toBe(perplexity);
    }
    // From then on the build's report says it, and the folder is still the build's.
    const { token } = await json('report', 'out');
    expect(token.cachePrices).toEqual({ examples: 2, tokens, prices: evaluated.cachePrices });
    expect(readFileSync(at('out', 'report.html'), 'utf8')).toContain('window:6,sinks:4');
    const digests = JSON.parse(readFileSync(at('out', 'manifest.json'), 'utf8')).outputs;
    expect(digests['report.json']).toBe(digestOf(readFileSync(at('out', 'report.json'))));
    expect(digests['report.html']).toBe(digestOf(readFileSync(at('out', 'report.html'))));
    const page = readFileSync(at('out', 'report.html'));
    writeFileSync(at('out', 'report.html'), 'mine');
    expect(await json('eval', 'out', ...flags)).toMatchObject({ error: { code: 'changed-build' } });
    expect(readFileSync(at('out', 'report.html'), 'utf8')).toBe('mine');
    writeFileSync(at('out', 'report.html'), page);
  });

  test('Ctrl-C ends an answer after the token that is being made', async () => {
    const lines = await consoleLines(
      at('out', 'firmware.elf'),
      '#sample 15 0 0 1000 1\nimport\n\u0003',
      3,
    );
    const { generated, stopped } = JSON.parse(lines[2]!);
    expect(stopped).toBe('cancelled');
    expect(generated.length).toBeGreaterThanOrEqual(1);
    expect(generated.length).toBeLessThan(15);
  });

  test.each([
    [['--temperature', '-1'], 'bad-sampling'],
    [['--top-p', '1.5'], 'bad-sampling'],
    [['--max-new', '2.5'], 'bad-sampling'],
    [['--pair', 'y', '--on', 'interpreter'], 'bad-flag'],
  ])('%j is refused', async (flags, error) => {
    const answer = await json('run', 'out', '--text', 'x', ...flags);
    expect(answer).toMatchObject({ code: 1, error: { code: error } });
  });

  test('a module says the same', async () => {
    const args = ['--target', 'wasm', '--max-tokens', '20', '--out', 'module'];
    expect(await json('build', 'model', ...args)).toMatchObject({ code: 0 });
    const run = ['run', 'module', '--text', 'import', ...sampling, '--seed', '13'];
    const answer = await json(...run);
    expect(answer).toMatchObject({ code: 0, on: 'wasm', stopped: 'length' });
    expect(answer).toEqual({ ...(await json(...run, '--on', 'interpreter')), on: 'wasm' });
    const nothing = await json('run', 'module', '--text', 'import', '--max-new', '0');
    expect(nothing).toMatchObject({ code: 0, on: 'wasm', generated: [], stopped: 'length' });
    const evaluate = ['eval', 'module', '--data', 'data.jsonl'];
    const { on, ...found } = await json(...evaluate);
    expect(on).toBe('wasm');
    expect(await json(...evaluate, '--on', 'interpreter')).toEqual({ ...found, on: 'interpreter' });
  });
});

test.skipIf(!hasCompiler)(
  'a model that does not generate refuses the flags of those that do',
  async () => {
    const own = temporaryFolder();
    const model = packagePath('test', 'fixtures', 'hf', 'seqcls-gelu');
    const build = ['build', model, '--target', 'mps2-an386', '--max-tokens', '20', '--out', 'out'];
    expect((await lm2mcu(build, own.path)).code).toBe(0);
    const run = ['run', 'out', '--text', 'x', '--on', 'interpreter'];
    expect((await lm2mcu(run, own.path)).code).toBe(0);
    const { code, stderr } = await lm2mcu([...run, '--top-k', '3'], own.path);
    expect(code).toBe(1);
    expect(stderr).toContain(
      'error: --top-k is of no use: the model does not generate text\n  hint: Leave out --top-k.\n',
    );
    own.remove();
  },
);

/** What a terminal shows. */
function onTerminal(args: readonly string[]): string {
  const program = packagePath('toolchain', 'cli', 'lm2mcu.js');
  const command = [process.execPath, program, ...args].map((word) => `'${word}'`).join(' ');
  return execFileSync('script', ['-qec', command, '/dev/null'], {
    ...{ cwd: folder.path, encoding: 'utf8' },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
}

/** The first lines that the firmware says, given all of `input` at once. */
function consoleLines(elfPath: string, input: string, count: number): Promise<readonly string[]> {
  const qemu = spawn('qemu-system-arm', [
    ...['-M', 'mps2-an386', '-kernel', elfPath, '-icount', 'shift=0', '-display', 'none'],
    ...['-monitor', 'none', '-net', 'none', '-serial', 'stdio'],
  ]);
  qemu.stdin.write(input);
  const lines: string[] = [];
  return new Promise((resolve) => {
    createInterface({ input: qemu.stdout }).on('line', (line) => {
      lines.push(line);
      if (lines.length === count) qemu.kill('SIGKILL');
    });
    qemu.once('close', () => resolve(lines));
  });
}
