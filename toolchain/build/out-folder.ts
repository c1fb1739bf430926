/**
 * The folder that a build writes: made beside the old one, put in its place when all is there.
 *
 *   out                      what the user has, or nothing
 *   .out.lm2mcu-<id>/new     where the build works
 *   .out.lm2mcu-<id>/old     the old result, for as long as the swap takes
 *
 * A failed build leaves `out` as it was. A file that is not ours, or that was changed since we wrote
 * it, is never removed.
 */
import { createHash } from 'node:crypto';
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
} from 'node:fs';
import { basename, dirname, join, relative, resolve, sep } from 'node:path';
import { userError } from '../errors.ts';
import { manifestFile, readManifest } from './manifest.ts';

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
      inWords(requested, () => {
        const old = join(work, 'old');
        const hadOld = existsSync(out);
        if (hadOld) renameSync(out, old);
        try {
          renameSync(path, out);
        } catch (error) {
          if (hadOld) renameSync(old, out);
          throw error;
        }
      });
      rmSync(work, { recursive: true, force: true });
    },
    discard() {
      rmSync(work, { recursive: true, force: true });
    },
  };
}

/** `sha256:` and the digest, as the manifest writes it. */
export function digestOf(bytes: Uint8Array): string {
  return `sha256:${createHash('sha256').update(bytes).digest('hex')}`;
}

/** Files below the folder, by their paths with forward slashes, sorted. */
export function filesBelow(folder: string): readonly string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => !entry.isDirectory())
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)).split(sep).join('/'))
    .sort();
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
  const found = inWords(requested, () => filesBelow(out));
  if (found.length === 0) return;
  if (!found.includes(manifestFile)) {
    throw userError({
      code: 'out-not-ours',
      message: `${JSON.stringify(requested)} is not empty, and no build of lm2mcu wrote it`,
      where: requested,
      hint: 'Give an empty or new folder, or one that an earlier build wrote: --out <dir>',
    });
  }
  const { outputs } = readManifest(requested);
  const foreign = found.filter(
    (name) => name !== manifestFile && outputs[name] !== digestOf(readFileSync(join(out, name))),
  );
  if (foreign.length === 0) return;
  const more = foreign.length > 5 ? ` and ${foreign.length - 5} more` : '';
  throw userError({
    code: 'out-has-changes',
    message: `${JSON.stringify(requested)} holds files that were added or changed since the build: ${foreign.slice(0, 5).join(', ')}${more}`,
    where: requested,
    hint: 'Move them away, or give another folder: --out <dir>',
  });
}

function isInside(path: string, folder: string): boolean {
  return `${path}${sep}`.startsWith(`${folder}${sep}`);
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
