import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { dropTokens } from '../../toolchain/compress/drop-tokens.ts';
import type { Recipe } from '../../toolchain/compress/recipe.ts';
import { emitLibrary } from '../../toolchain/emit/library.ts';
import { openExecutor } from '../../toolchain/emulate/executor.ts';
import { type ImportedModel, importModel } from '../../toolchain/importers/index.ts';
import { packageVersion } from '../../toolchain/package-root.ts';
import { compile } from '../../toolchain/pipeline.ts';
import { loadTarget } from '../../toolchain/targets.ts';
import { fixturePath } from '../ir/graphs.ts';

const folder = mkdtempSync(join(tmpdir(), 'lm2mcu-library-'));
afterAll(() => rmSync(folder, { recursive: true }));

/** Weights in 4 bits, and a token left out, so that the tables have other rows than the vocabulary. */
function int4Recipe(model: ImportedModel): Recipe {
  const weight = model.graph.nodes.find(({ op }) => op === 'linear')!.inputs[1]!;
  const [outputs, inputs] = model.graph.tensors[weight]!.shape as readonly [number, number];
  return {
    modelSha256: model.card.sha256,
    tables: {},
    weights: {
      [weight]: {
        bits: 4,
        codes: Int8Array.from({ length: outputs * inputs }, (_, index) => (index % 15) - 7),
        scales: new Float32Array(outputs).fill(0.01),
      },
    },
    constants: {},
    droppedTokens: Int32Array.of(droppedToken(model)),
    provenance: {},
  };
}

/** The first that a text leads to and that may be left out. */
function droppedToken({ tokenizer }: ImportedModel): number {
  const id = tokenizer.vocabulary.findIndex((token, id) => {
    if (!/^[a-z]{2,}$/.test(token)) return false;
    try {
      dropTokens(tokenizer, [id]);
      return true;
    } catch {
      return false; // without pieces
    }
  });
  expect(id).toBeGreaterThan(0);
  return id;
}

const warnings = '-Wall -Wextra -Wconversion -Wpedantic -Werror -std=c99 -O2'.split(' ');

const compilers: readonly { readonly command: string; readonly flags: readonly string[] }[] = [
  { command: 'gcc', flags: [] },
  { command: 'clang-19', flags: [] },
  ...['cortex-m0plus', 'cortex-m4', 'cortex-m7', 'cortex-m33', 'cortex-m55'].map((cpu) => ({
    command: 'arm-none-eabi-gcc',
    flags: [`-mcpu=${cpu}`, '-mthumb', `-mfloat-abi=${cpu === 'cortex-m0plus' ? 'soft' : 'hard'}`],
  })),
];

function isMissing(command: string): boolean {
  const missing = spawnSync(command, ['--version']).error !== undefined;
  if (missing) console.warn(`SKIPPED: ${command} is not installed`);
  return missing;
}

describe.each([
  { fixture: 'seqcls-odd-f32', target: 'mps2-an386', maxTokens: 33, isCompressed: false },
  { fixture: 'tokcls-relu', target: 'mps3-an547', maxTokens: 48, isCompressed: true },
  { fixture: 'embed-tanh-bf16', target: 'mps2-an500', maxTokens: 20, isCompressed: false },
])('$fixture', ({ fixture, target, maxTokens, isCompressed }) => {
  const compiled = compile({
    modelPath: fixturePath(fixture),
    target: loadTarget(target),
    maxTokens,
    calibration: null,
    emit: 'library',
    ...(isCompressed ? { recipe: int4Recipe(importModel(fixturePath(fixture))) } : {}),
  });
  const files = emitLibrary(compiled);
  const root = join(folder, fixture);
  for (const { path, content } of files) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), content);
  }
  const sources = files.map(({ path }) => path).filter((path) => /^src\/.*\.c$/.test(path));
  const textOf = (path: string): string => files.find((file) => file.path === path)!.content;

  test.each(compilers)('$command $flags has nothing to say', ({ command, flags }) => {
    if (isMissing(command)) return;
    for (const source of sources) {
      const args = [...warnings, ...flags, '-Isrc', '-c', source, '-o', join(folder, 'object.o')];
      const { status, stderr } = spawnSync(command, args, { cwd: root, encoding: 'utf8' });
      expect([source, status, stderr]).toEqual([source, 0, '']);
    }
  });

  test.each(['g++', 'arm-none-eabi-g++'])('%s takes the headers', (command) => {
    if (isMissing(command)) return;
    const source = '#include "lm2mcu.h"\n#include "lm2mcu_model.h"\nint n = LM2MCU_MAX_TOKENS;\n';
    const args = ['-Wall', '-Wextra', '-Wpedantic', '-Werror', '-Isrc', '-xc++', '-', '-c', '-o'];
    execFileSync(command, [...args, join(folder, 'object.o')], { cwd: root, input: source });
  });

  test('CMake builds it, and its example answers as the interpreter', async () => {
    if (isMissing('cmake')) return;
    execFileSync('cmake', ['-S', '.', '-B', 'build', '-DCMAKE_BUILD_TYPE=Release'], { cwd: root });
    execFileSync('cmake', ['--build', 'build'], { cwd: root });
    const texts = ['hello world', '', 'a b c', 'naïve text, with words'];
    const output = execFileSync(join(root, 'build', 'classify'), {
      input: [...texts, 'one\ttwo'].map((text) => `${text}\n`).join(''),
      encoding: 'utf8',
    });
    const interpreter = await openExecutor('interpreter', compiled);
    const examples = [...texts.map((text) => ({ text })), { text: 'one', textPair: 'two' }];
    const expected: string[] = [];
    for (const example of examples) {
      const { outputs, rows, columns } = await interpreter.classify(example);
      for (let row = 0; row < rows; row++) {
        expected.push(outputs.subarray(row * columns, (row + 1) * columns).join(','));
      }
    }
    const values = output
      .trim()
      .split('\n')
      .map((line) => line.split(' ').at(-1));
    expect(values).toEqual(expected);
  });

  test('nothing names a place on this host, and the version is the package’s', () => {
    for (const { path, content } of files) {
      expect(path).not.toMatch(/^\/|\.\.|\\/);
      expect(content).not.toMatch(/\/(home|work|tmp|root|Users)\//);
    }
    expect(textOf('CMakeLists.txt')).toContain(`VERSION ${packageVersion()} `);
    expect(emitLibrary(compiled)).toEqual(files);
  });

  test('library.json is what PlatformIO documents', () => {
    const manifest = JSON.parse(textOf('library.json'));
    expect(manifest.name).toMatch(/^[^:;/,@<>]{1,100}$/);
    expect(manifest.version).toBe(packageVersion());
    const paths = [
      manifest.build.srcDir,
      manifest.build.includeDir,
      ...manifest.headers.map((header: string) => join('src', header)),
      ...manifest.examples.flatMap(({ base, files: names }: { base: string; files: string[] }) =>
        names.map((name) => join(base, name)),
      ),
    ];
    for (const path of paths) expect(existsSync(join(root, path)), path).toBe(true);
  });

  test('library.properties is what Arduino documents', () => {
    const lines = textOf('library.properties').trim().split('\n');
    const properties = Object.fromEntries(lines.map((line) => line.split(/=(.*)/).slice(0, 2)));
    const required =
      'name version author maintainer sentence paragraph category url architectures'.split(' ');
    expect(Object.keys(properties)).toEqual([...required, 'includes']);
    expect(properties['name']).toMatch(/^[A-Za-z0-9][A-Za-z0-9 _.-]{0,62}$/);
    expect(properties['version']).toMatch(/^\d+\.\d+\.\d+$/);
    expect(properties['category']).toBe('Data Processing');
    for (const header of properties['includes']!.split(',')) {
      expect(existsSync(join(root, 'src', header))).toBe(true);
    }
    // A sketch is called as its folder.
    expect(existsSync(join(root, 'examples/arduino/arduino.ino'))).toBe(true);
  });

  test('the Zephyr module names what is there', () => {
    const settings = textOf('zephyr/module.yml').matchAll(/^ {2}(cmake|kconfig): (\S+)$/gm);
    const named = Object.fromEntries([...settings].map(([, key, value]) => [key, value]));
    expect(existsSync(join(root, named['cmake']!, 'CMakeLists.txt'))).toBe(true);
    expect(existsSync(join(root, named['kconfig']!))).toBe(true);
    const listed = [...textOf('zephyr/CMakeLists.txt').matchAll(/\.\.\/(\S+\.c)$/gm)];
    expect(listed.map(([, path]) => path).sort()).toEqual(sources.toSorted());
    expect(textOf('zephyr/Kconfig')).toMatch(/^config LM2MCU_MODEL\n\tbool "[ -~]+"\n/);
  });
});
