/** Where the package's data folders (`kernels/`, `targets/`, `firmware-templates/`) are, from sources and from `dist/` alike. */
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

function findPackageRoot(): string {
  let folder = dirname(fileURLToPath(import.meta.url));
  while (!(existsSync(join(folder, 'package.json')) && existsSync(join(folder, 'targets')))) {
    const parent = dirname(folder);
    if (parent === folder) throw new Error('package.json with targets/ beside it was not found');
    folder = parent;
  }
  return folder;
}

export const packageRoot = findPackageRoot();

/** Absolute path of a file or folder shipped with the package. */
export function packagePath(...parts: string[]): string {
  return join(packageRoot, ...parts);
}

/** As package.json says. */
export function packageVersion(): string {
  return JSON.parse(readFileSync(packagePath('package.json'), 'utf8')).version;
}

/** The exact version of a dependency that package.json asks for. */
export function dependencyVersion(name: string): string {
  return JSON.parse(readFileSync(packagePath('package.json'), 'utf8')).dependencies[name];
}
