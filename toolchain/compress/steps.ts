/**
 * Results of the search's slow steps on disk, so that a search that was stopped goes on where it was.
 *
 * A step is named by what it does and keyed by everything it depends on; a file is there whole or not
 * at all. What another version of Node wrote is computed again.
 */
import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { deserialize, serialize } from 'node:v8';

export interface Steps {
  /** The step's result: from disk, or computed now and kept. */
  run<T>(name: string, dependsOn: readonly string[], compute: () => Promise<T> | T): Promise<T>;
}

export function openSteps(folder: string, resume: boolean): Steps {
  mkdirSync(folder, { recursive: true });
  // File by file: another search may be at work in the folder.
  if (!resume) {
    for (const name of readdirSync(folder)) {
      if (name.endsWith('.step')) rmSync(join(folder, name), { force: true });
    }
  }
  return {
    async run(name, dependsOn, compute) {
      const key = createHash('sha256')
        .update([name, ...dependsOn].join('\n'))
        .digest('hex');
      const file = join(folder, `${key.slice(0, 24)}.step`);
      const known = existsSync(file) ? readStep(file) : undefined;
      if (known !== undefined) return known.result as Awaited<ReturnType<typeof compute>>;
      const result = await compute();
      const part = `${file}.${process.pid}`;
      writeFileSync(part, serialize({ name, result }));
      renameSync(part, file);
      return result;
    },
  };
}

function readStep(file: string): { readonly result: unknown } | undefined {
  try {
    return deserialize(readFileSync(file));
  } catch {
    return undefined; // another version's format
  }
}
