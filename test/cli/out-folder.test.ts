/** A build replaces what an earlier one wrote, and nothing that a user put there, at any moment. */
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import { join } from 'node:path';
import { afterAll, afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { formatManifest } from '../../toolchain/build/manifest.ts';
import { checkOutFolder, digestOf, openOutFolder } from '../../toolchain/build/out-folder.ts';
import { temporaryFolder } from './lm2mcu.ts';

const hooks = vi.hoisted(() => ({ beforeRename: (_from: string, _to: string) => {} }));
vi.mock('node:fs', async (original) => {
  const real = await original<typeof import('node:fs')>();
  return {
    ...real,
    renameSync(from: string, to: string) {
      hooks.beforeRename(from, to);
      real.renameSync(from, to);
    },
  };
});

const folder = temporaryFolder();
const out = join(folder.path, 'out');
const at = (...parts: string[]) => join(out, ...parts);
const manifest = {
  schema: 1,
  tool: { name: 'lm2mcu', version: '0.0.0' },
  options: { target: 'some' },
  compiler: null,
  inputs: {},
  outputs: { 'sources/model.c': digestOf(new TextEncoder().encode('int x;\n')) },
} as const;

beforeEach(() => {
  fs.mkdirSync(at('sources'), { recursive: true });
  fs.writeFileSync(at('sources', 'model.c'), 'int x;\n');
  fs.writeFileSync(at('manifest.json'), formatManifest(manifest));
});
afterEach(() => {
  hooks.beforeRename = () => {};
  fs.rmSync(folder.path, { recursive: true });
  fs.mkdirSync(folder.path);
});
afterAll(folder.remove);

function build(): void {
  const work = openOutFolder(out);
  try {
    fs.writeFileSync(join(work.path, 'new.txt'), 'new');
    work.commit();
  } finally {
    work.discard();
  }
}

function codeOf(act: () => void): string | undefined {
  try {
    act();
    return undefined;
  } catch (error) {
    return (error as { details?: { code?: string } }).details?.code ?? String(error);
  }
}

test('an earlier result is replaced', () => {
  build();
  expect(fs.readdirSync(folder.path)).toEqual(['out']);
  expect(fs.readdirSync(out)).toEqual(['new.txt']);
});

describe('foreign is', () => {
  test.each<[string, () => void, string]>([
    ['another key in the manifest', () => edit('"options": {', '"options": {\n  "mine": 1,'), ''],
    ['a remark in the manifest', () => edit('"schema": 1,', '"schema": 1, "mine": "years",'), ''],
    ['an empty folder', () => fs.mkdirSync(at('sources', 'mine')), 'sources/mine/'],
    ['a dangling link', () => fs.symlinkSync('nowhere', at('link')), 'link'],
    ['a link to a folder', () => fs.symlinkSync('/', at('link')), 'link'],
    ['a link to what was there', () => moveBehindLink(), 'sources/model.c'],
    ['a pipe', () => execFileSync('mkfifo', [at('pipe')]), 'pipe'],
    ['a file named as a property', () => fs.writeFileSync(at('constructor'), ''), 'constructor'],
  ])('%s', (_name, change, path) => {
    change();
    const message = path === '' ? 'manifest.json' : path;
    expect(() => checkOutFolder(out)).toThrow(`since the build: ${message}`);
    expect(codeOf(build)).toBe('out-has-changes');
    expect(fs.readdirSync(folder.path).filter((name) => name.startsWith('.'))).toEqual([]);
  });

  function edit(from: string, to: string): void {
    const text = fs.readFileSync(at('manifest.json'), 'utf8');
    fs.writeFileSync(at('manifest.json'), text.replace(from, to));
  }

  function moveBehindLink(): void {
    fs.writeFileSync(join(folder.path, 'elsewhere.c'), 'int x;\n');
    fs.rmSync(at('sources', 'model.c'));
    fs.symlinkSync('../../elsewhere.c', at('sources', 'model.c'));
  }
});

test.each([
  ['no manifest', () => fs.rmSync(at('manifest.json'))],
  [
    'a pipe in place of the manifest',
    () => {
      fs.rmSync(at('manifest.json'));
      execFileSync('mkfifo', [at('manifest.json')]);
    },
  ],
])('not ours: %s', (_name, change) => {
  change();
  expect(codeOf(() => checkOutFolder(out))).toBe('out-not-ours');
});

test('the root is the folder one is in, like every folder above', () => {
  expect(codeOf(() => checkOutFolder('/'))).toBe('out-is-current-folder');
  expect(codeOf(() => checkOutFolder('..'))).toBe('out-is-current-folder');
});

describe('during the swap', () => {
  test('a file saved at the last moment is kept, with all else as it was', () => {
    hooks.beforeRename = (from) => {
      if (from === out) fs.writeFileSync(at('notes.txt'), 'mine');
    };
    expect(codeOf(build)).toBe('out-has-changes');
    expect(fs.readFileSync(at('notes.txt'), 'utf8')).toBe('mine');
    expect(fs.readdirSync(out).sort()).toEqual(['manifest.json', 'notes.txt', 'sources']);
    expect(fs.readdirSync(folder.path)).toEqual(['out']);
  });

  test('a folder made in its place is kept, and so is the older result', () => {
    hooks.beforeRename = (_from, to) => {
      if (to !== out) return;
      fs.mkdirSync(out, { recursive: true });
      fs.writeFileSync(at('notes.txt'), 'mine');
    };
    expect(codeOf(build)).toBe('out-set-aside');
    expect(fs.readdirSync(out)).toEqual(['notes.txt']);
    const [work = ''] = fs.readdirSync(folder.path).filter((name) => name.startsWith('.'));
    expect(fs.readdirSync(join(folder.path, work))).toEqual(['old']);
    expect(fs.readdirSync(join(folder.path, work, 'old'))).toContain('manifest.json');
  });
});
