/** What `npm pack` makes works where npm installed it, under every Node that package.json promises. */
import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { digestOf } from '../../toolchain/build/out-folder.ts';
import { packagePath, packageVersion } from '../../toolchain/package-root.ts';
import { hasCompiler, hasEmulator } from '../firmware/fake-firmware.ts';
import { temporaryFolder } from './lm2mcu.ts';

const folder = temporaryFolder();
const app = join(folder.path, 'app');
const bin = join(app, 'node_modules', '.bin', 'lm2mcu');
/** Digests of the same model, compiled by each Node. */
const graphs = new Set<string>();
/** Major versions; downloads of the package `node`, except for the last, which runs this test. */
const downloads = ['20', '22'] as const;

function npm(args: readonly string[], cwd: string): void {
  execFileSync('npm', [...args, '--no-audit', '--no-fund', '--prefer-offline'], {
    cwd,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
  });
}

/** Null, said on the test's output, where there is no way to get it. */
function downloadNode(major: string): string | null {
  const name = `node-${process.platform}-${process.arch}`;
  const place = join(folder.path, `node-${major}`);
  mkdirSync(place, { recursive: true });
  writeFileSync(join(place, 'package.json'), '{}');
  try {
    npm(['install', '--no-save', `${name}@${major}`], place);
  } catch (error) {
    console.warn(`SKIPPED: Node ${major} cannot be downloaded: ${String(error).slice(0, 300)}`);
    return null;
  }
  return join(place, 'node_modules', name, 'bin', 'node');
}

beforeAll(() => {
  mkdirSync(app);
  writeFileSync(join(app, 'package.json'), '{}');
  npm(['pack', '--silent', '--pack-destination', folder.path], packagePath());
  npm(['install', join(folder.path, `lm2mcu-${packageVersion()}.tgz`)], app);
  cpSync(packagePath('test', 'fixtures', 'hf', 'seqcls-gelu'), join(app, 'model'), {
    recursive: true,
  });
}, 300_000);
afterAll(folder.remove);

test('the package holds compiled JavaScript and nothing of the tests', () => {
  const root = join(app, 'node_modules', 'lm2mcu');
  expect(readdirSync(root).sort()).toEqual([
    ...['LICENSE', 'README.md', 'dist', 'firmware-templates', 'kernels', 'package.json'],
    ...['targets', 'toolchain'],
  ]);
  expect(readdirSync(join(root, 'toolchain', 'cli'))).toEqual(['lm2mcu.js']);
  expect(existsSync(join(app, 'node_modules', 'typescript'))).toBe(false);
});

describe.each([...downloads, 'this'])('Node %s', (major) => {
  const run = (args: readonly string[]) => {
    const node = nodes.get(major);
    if (node === undefined || node === null) throw new Error('no such Node');
    return execFileSync(node, [bin, ...args], { cwd: app, encoding: 'utf8', stdio: 'pipe' });
  };
  const nodes = new Map<string, string | null>();
  beforeAll(() => {
    nodes.set(major, major === 'this' ? process.execPath : downloadNode(major));
  }, 300_000);

  test('targets, doctor, inspect', ({ skip }) => {
    if (nodes.get(major) === null) skip();
    expect(run(['targets'])).toContain('stm32f746g-disco');
    expect(JSON.parse(run(['inspect', 'model', '--json'])).architecture.layers).toBeGreaterThan(0);
    if (!hasCompiler || !hasEmulator) return;
    const { ready, node } = JSON.parse(run(['doctor', '--json']));
    expect(ready).toBe(true);
    if (major !== 'this') expect(node).toMatch(new RegExp(`^v${major}\\.`));
  });

  test.skipIf(!hasCompiler || !hasEmulator)('build and run', ({ skip }) => {
    if (nodes.get(major) === null) skip();
    const out = `out-${major}`;
    const target = ['--target', 'mps2-an386', '--max-tokens', '24'];
    run(['build', 'model', ...target, '--out', out, '--json']);
    const answer = JSON.parse(run(['run', out, '--text', 'the lamp', '--json']));
    expect(answer).toMatchObject({ on: 'emulator', truncated: false });
    graphs.add(digestOf(readFileSync(join(app, out, 'graph.bin'))));
    expect([...graphs], 'every Node compiles the same bits').toHaveLength(1);
  });
});
