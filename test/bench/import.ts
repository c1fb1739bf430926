/**
 * `npm run bench import -- <model> ...`: what it takes to read models from disk: processor seconds, and
 * the most memory, each in a process of its own. test/importers/exports/make_large.py writes a model of
 * 100 MB in every format.
 */
import { spawnSync } from 'node:child_process';
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { formatError, Lm2mcuError, userError } from '../../toolchain/errors.ts';
import { importModel } from '../../toolchain/importers/index.ts';
import { packagePath } from '../../toolchain/package-root.ts';

const [first, ...more] = process.argv.slice(2);
try {
  if (first === '--one') measure(more[0]!);
  else compare(first === undefined ? [] : [first, ...more]);
} catch (error) {
  if (!(error instanceof Lm2mcuError)) throw error;
  process.stderr.write(`${formatError(error.details)}\n`);
  process.exitCode = 1;
}

function measure(path: string): void {
  const { card } = importModel(path);
  const { user, system } = process.cpuUsage();
  const { maxRSS } = process.resourceUsage();
  const cells = [
    path,
    (sizeBytes(path) / 1e6).toFixed(1),
    card.parameters.toLocaleString('en-US'),
    ((user + system) / 1e6).toFixed(1),
    Math.round((maxRSS * 1024) / 1e6),
  ];
  console.log(`| ${cells.join(' | ')} |`);
}

function compare(paths: readonly string[]): void {
  if (paths.length === 0) {
    throw userError({
      code: 'bad-option',
      message: 'no model is named',
      hint: 'npm run bench import -- <model> ...',
    });
  }
  console.log('| model | MB on disk | parameters | CPU s | peak MB |');
  console.log('| --- | ---: | ---: | ---: | ---: |');
  for (const path of paths) {
    const own = packagePath('test/bench/import.ts');
    const { status } = spawnSync(process.execPath, [own, '--one', path], { stdio: 'inherit' });
    if (status !== 0) process.exitCode = 1;
  }
}

function sizeBytes(path: string): number {
  if (!statSync(path).isDirectory()) return statSync(path).size;
  return readdirSync(path).reduce((sum, name) => sum + statSync(join(path, name)).size, 0);
}
