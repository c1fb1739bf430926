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

/** A fixed linear congruential sequence (Numerical Recipes); values in [0, 1). */
export function generator(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}
