/**
 * The folder that a build writes: made beside the old one, put in its place when all is there.
 *
 *   out                      what the user has, or nothing
 *   .out.lm2mcu-<id>/new     where the build works
 *   .out.lm2mcu-<id>/old     the old result, for as long as the swap takes
 *
 * A failed build leaves `out` as it was. What is not ours, or was changed since we wrote it, is never
 * removed: it is looked for before any work, before the swap, and in the old result once it has moved
 * away, where nobody saves by its name any more.
 */

import {
  type Dirent,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmdirSync,
  rmSync,
} from 'node:fs';
import { basename, dirname, isAbsolute, join, relative, resolve, sep } from 'node:path';
import { userError } from '../errors.ts';
import { sha256Of } from '../sha256.ts';
import { formatManifest, manifestFile, readManifest } from './manifest.ts';

export interface OutFolder {
  /** Write here. */
  readonly path: string;
  /** Puts the new folder in the old one's place. */
  commit(): void;
  /** Removes what is left of the work; nothing after `commit`. */
  discard(): void;
}

/** Throws where a build could not be put: before any work is done. */
export function checkOutFolder(requested: string): void {
  checkReplaceable(realPathOf(requested), requested);
}

export function openOutFolder(requested: string): OutFolder {
  const out = realPathOf(requested);
  checkReplaceable(out, requested);
  const work = inWords(requested, () => {
    mkdirSync(dirname(out), { recursive: true });
    return mkdtempSync(join(dirname(out), `.${basename(out)}.lm2mcu-`));
  });
  const path = join(work, 'new');
  mkdirSync(path);
  return {
    path,
    commit() {
      checkReplaceable(out, requested); // the build took its time
      const old = join(work, 'old');
      const hadOld = existsSync(out);
      inWords(requested, () => {
        if (hadOld) renameSync(out, old);
        try {
          if (hadOld) checkOurs(old, requested);
          renameSync(path, out);
        } catch (error) {
          if (hadOld) putBack(old, out);
          throw error;
        }
      });
      rmSync(work, { recursive: true, force: true });
    },
    discard() {
      rmSync(path, { recursive: true, force: true });
      if (existsSync(work) && readdirSync(work).length === 0) rmdirSync(work);
    },
  };
}

/** Where that fails, `discard` leaves the old result where it is. */
function putBack(old: string, out: string): void {
  try {
    renameSync(old, out);
  } catch (cause) {
    const error = userError({
      code: 'out-set-aside',
      message: `the older result could not be put back: ${JSON.stringify(out)} was written meanwhile`,
      where: old,
      hint: 'All of it is there, unharmed: move it to where you want it.',
    });
    error.cause = cause;
    throw error;
  }
}

/** `sha256:` and the digest, as the manifest writes it. */
export function digestOf(bytes: Uint8Array): string {
  return `sha256:${sha256Of(bytes)}`;
}

/** Files below the folder, by their paths with forward slashes, sorted. */
export function filesBelow(folder: string): readonly string[] {
  return leavesBelow(folder)
    .filter(({ entry }) => !entry.isDirectory())
    .map(({ name }) => name)
    .sort();
}

interface Leaf {
  /** The path below the folder, with forward slashes. */
  readonly name: string;
  readonly entry: Dirent;
}

/** Files and empty folders; links are not followed, as Node's own recursion would. */
function leavesBelow(folder: string, prefix = ''): readonly Leaf[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const name = `${prefix}${entry.name}`;
    const inner = entry.isDirectory() ? leavesBelow(join(folder, entry.name), `${name}/`) : [];
    return inner.length === 0 ? [{ name, entry }] : inner;
  });
}

/** Where a link leads, that is replaced, not the link. */
function realPathOf(requested: string): string {
  return existsSync(requested) ? realpathSync(requested) : resolve(requested);
}

function checkReplaceable(out: string, requested: string): void {
  const stats = inWords(requested, () => lstatSync(out, { throwIfNoEntry: false }));
  if (stats === undefined) return;
  if (!stats.isDirectory()) {
    throw userError({
      code: 'out-not-a-folder',
      message: `${JSON.stringify(requested)} is a file, not a folder`,
      where: requested,
      hint: 'Give another folder: --out <dir>',
    });
  }
  if (isInside(process.cwd(), out)) {
    throw userError({
      code: 'out-is-current-folder',
      message: 'the result would replace the folder you are in',
      where: requested,
      hint: 'Give a folder inside it: --out build',
    });
  }
  if (inWords(requested, () => readdirSync(out)).length > 0) checkOurs(out, requested);
}

/** `folder` holds what a build wrote to `requested`, and nothing else. */
function checkOurs(folder: string, requested: string): void {
  const manifest = join(folder, manifestFile);
  // First of all: anything may lie below a folder that is not ours, and any amount of it.
  if (lstatSync(manifest, { throwIfNoEntry: false })?.isFile() !== true) {
    throw userError({
      code: 'out-not-ours',
      message: `${JSON.stringify(requested)} is not empty, and no build of lm2mcu wrote it`,
      where: requested,
      hint: 'Give an empty or new folder, or one that an earlier build wrote: --out <dir>',
    });
  }
  const foreign = inWords(requested, () => foreignIn(folder, requested));
  if (foreign.length === 0) return;
  const more = foreign.length > 5 ? ` and ${foreign.length - 5} more` : '';
  throw userError({
    code: 'out-has-changes',
    message: `${JSON.stringify(requested)} holds files that were added or changed since the build: ${foreign.slice(0, 5).join(', ')}${more}`,
    where: requested,
    hint: 'Move them away, or give another folder: --out <dir>',
  });
}

/** Paths of what the manifest does not name or names otherwise; an empty folder's ends in a slash. */
function foreignIn(folder: string, requested: string): readonly string[] {
  const manifest = readManifest(folder, requested);
  const digests: Readonly<Record<string, string>> = {
    ...manifest.outputs,
    [manifestFile]: digestOf(new TextEncoder().encode(formatManifest(manifest))),
  };
  return leavesBelow(folder)
    .filter(({ name, entry }) => {
      const isKnown = entry.isFile() && Object.hasOwn(digests, name);
      return !isKnown || digests[name] !== digestOf(readFileSync(join(folder, name)));
    })
    .map(({ name, entry }) => (entry.isDirectory() ? `${name}/` : name))
    .sort();
}

function isInside(path: string, folder: string): boolean {
  const way = relative(folder, path);
  return way !== '..' && !way.startsWith(`..${sep}`) && !isAbsolute(way);
}

const reasons: Readonly<Record<string, string>> = {
  EACCES: 'permission denied',
  EPERM: 'permission denied',
  EROFS: 'the file system is read-only',
  ENOSPC: 'no space is left on the device',
  ENOTDIR: 'a part of the path is a file',
  ENAMETOOLONG: 'the name is too long',
  EBUSY: 'it is a mount point',
  EXDEV: 'it is a mount point',
  ENOENT: 'a part of it is gone',
  ENOTEMPTY: 'it was written meanwhile',
  EEXIST: 'it was written meanwhile',
};

/** What the file system refuses is the user's business, in words. */
function inWords<T>(requested: string, act: () => T): T {
  try {
    return act();
  } catch (cause) {
    const code = cause instanceof Error && 'code' in cause ? String(cause.code) : '';
    const reason = reasons[code];
    if (reason === undefined) throw cause;
    const error = userError({
      code: 'out-unwritable',
      message: `${JSON.stringify(requested)} cannot be written: ${reason}`,
      where: requested,
      hint: 'Give a folder that you may write to: --out <dir>',
    });
    error.cause = cause;
    throw error;
  }
}
