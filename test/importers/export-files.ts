/** The exported models of test/fixtures/exports: files in memory, unpacked. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { filesFromMemory, type ModelFiles } from '../../toolchain/importers/files.ts';
import { packagePath } from '../../toolchain/package-root.ts';

export const exportsFolder = packagePath('test/fixtures/exports');

/** What the framework that made it computes. */
export interface Golden {
  readonly ids: readonly number[];
  readonly segmentStart: number;
  readonly values: readonly number[];
}

/** The files of one source; packed ones under their names without `.gz`. */
export function filesOfSource(source: string): Readonly<Record<string, Uint8Array>> {
  const folder = join(exportsFolder, source);
  return Object.fromEntries(
    readdirSync(folder, { withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map(({ name }) => {
        const bytes = readFileSync(join(folder, name));
        const isPacked = name.endsWith('.gz');
        // Copies, for a Buffer's slices are views.
        return isPacked
          ? [name.slice(0, -3), new Uint8Array(gunzipSync(bytes))]
          : [name, new Uint8Array(bytes)];
      }),
  );
}

export function modelFiles(source: string): ModelFiles {
  return filesFromMemory(filesOfSource(source));
}

export function sourceNames(): readonly string[] {
  return readdirSync(exportsFolder, { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && !formats.includes(entry.name))
    .map(({ name }) => name);
}

/** Folders of other formats, all with the weights of `bert`. */
const formats: readonly string[] = ['tfjs', 'tflite'];

export function readJson<T>(name: string): T {
  return JSON.parse(readFileSync(join(exportsFolder, name), 'utf8'));
}

/** Variants that are folders. */
export function subfolders(folder: string): readonly string[] {
  return readdirSync(join(exportsFolder, folder), { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => `${folder}/${name}`);
}
