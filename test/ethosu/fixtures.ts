/** Where the golden streams are: our own in the repository, those of others beside the checkout. */
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { listGoldens, readGolden } from '../../toolchain/emulate/ethosu/golden.ts';
import { wordsOf } from '../../toolchain/ethosu/stream.ts';
import { packagePath } from '../../toolchain/package-root.ts';

export const goldenFolder = packagePath('test', 'fixtures', 'ethosu');
export const goldenPlaces = listGoldens(goldenFolder);

export const goldens = goldenPlaces.flatMap((place) => readGolden(place) ?? []);

export function streamOf(set: string, model: string): Uint32Array {
  const path = join(goldenFolder, set, `${model}.cms.bin`);
  return wordsOf(readFileSync(path), path);
}

/** Files from public repositories, which are not ours to copy; null where they are not. */
export function sharedFixtures(...parts: readonly string[]): string | null {
  for (let folder = dirname(packagePath()); ; folder = dirname(folder)) {
    const path = join(folder, 'shared', 'fixtures', 'ethosu', ...parts);
    if (existsSync(path)) return path;
    if (dirname(folder) === folder) return null;
  }
}
