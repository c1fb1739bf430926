/**
 * A checkout of Arm's CMSIS-NN that the user gives: which of its sources a firmware needs.
 *
 * They are compiled with the firmware, not linked from an archive, for the bound of the stack comes
 * from the compiler's call graphs.
 */
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';
import { userError } from '../errors.ts';
import { packagePath } from '../package-root.ts';
import { loadKernels } from '../schedule/kernels.ts';

export interface CmsisNn {
  /** Absolute, as all paths here. */
  readonly folder: string;
  readonly includeFolder: string;
  /** What our kernels call, and all that those files call. */
  readonly sources: readonly string[];
  /** Of every header and of the sources. */
  readonly digest: string;
}

/** `folder`: as the user wrote it. Throws unless all that our kernels call is there. */
export function openCmsisNn(folder: string): CmsisNn {
  const root = resolve(folder);
  const includeFolder = join(root, 'Include');
  if (statSync(root, { throwIfNoEntry: false })?.isDirectory() !== true) {
    throw notCmsisNn(folder, 'does not exist or is no folder');
  }
  if (!existsSync(join(includeFolder, 'arm_nnfunctions.h'))) {
    throw notCmsisNn(folder, 'has no Include/arm_nnfunctions.h');
  }
  if (!existsSync(join(root, 'Source'))) throw notCmsisNn(folder, 'has no Source folder');
  const headers = filesBelow(includeFolder, '.h');
  const { sources, missing } = closure(
    functionsOfKernels(),
    filesBelow(join(root, 'Source'), '.c'),
    headers,
  );
  if (missing.length > 0) {
    throw userError({
      code: 'incomplete-cmsis-nn',
      message: `CMSIS-NN in ${JSON.stringify(folder)} lacks ${missing.join(', ')}`,
      where: folder,
      hint: 'Give a newer, whole checkout of https://github.com/ARM-software/CMSIS-NN.',
    });
  }
  return { folder: root, includeFolder, sources, digest: digestOf(root, [...headers, ...sources]) };
}

function notCmsisNn(folder: string, why: string) {
  return userError({
    code: 'no-cmsis-nn',
    message: `${JSON.stringify(folder)} is no checkout of CMSIS-NN: it ${why}`,
    where: folder,
    hint: 'Give --cmsis-nn the folder of https://github.com/ARM-software/CMSIS-NN that has Include and Source.',
  });
}

/** What the kernels of ours that need the library call of it. */
function functionsOfKernels(): readonly string[] {
  const files = loadKernels()
    .kernels.filter(({ needs }) => needs.includes('cmsis-nn'))
    .map(({ file }) => readFileSync(packagePath('kernels', file), 'utf8'));
  return [...new Set(files.flatMap(calledIn))].sort();
}

/** The files that define `roots` and whatever they call; `missing`: declared, but not defined. */
function closure(
  roots: readonly string[],
  sources: readonly string[],
  headers: readonly string[],
): { readonly sources: readonly string[]; readonly missing: readonly string[] } {
  const texts = new Map(sources.map((path) => [path, readFileSync(path, 'utf8')]));
  const fileOf = new Map<string, string>();
  for (const [path, text] of texts) {
    for (const name of headedIn(text)) fileOf.set(name, path);
  }
  const declared = new Set(headers.flatMap((path) => headedIn(readFileSync(path, 'utf8'))));
  const needed = new Set<string>();
  const missing = new Set<string>();
  const visit = (name: string, isRoot: boolean): void => {
    const path = fileOf.get(name);
    if (path === undefined) {
      if (isRoot || declared.has(name)) missing.add(name);
      return; // else a macro, or defined in a header
    }
    if (needed.has(path)) return;
    needed.add(path);
    for (const called of calledIn(texts.get(path)!)) visit(called, false);
  };
  for (const name of roots) visit(name, true);
  return { sources: [...needed].sort(), missing: [...missing].sort() };
}

function calledIn(text: string): string[] {
  return [...text.matchAll(/\barm_\w+(?=\()/g)].map(([name]) => name);
}

/** Functions whose head begins a line, but for those that are inline. */
function headedIn(text: string): string[] {
  const heads = text.matchAll(/^(?!__STATIC|static)\w[\w *]*?\b(arm_\w+)\(/gm);
  return [...heads].map((match) => match[1]!);
}

function filesBelow(folder: string, extension: string): readonly string[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith(extension))
    .map((path) => join(folder, path))
    .sort();
}

function digestOf(root: string, files: readonly string[]): string {
  const hash = createHash('sha256');
  for (const path of files) {
    hash.update(`${relative(root, path).replaceAll('\\', '/')}\n`).update(readFileSync(path));
  }
  return `sha256:${hash.digest('hex')}`;
}
