/**
 * One emulator at a time for a storage file: a file beside it has the number of the process that uses
 * it. What a process that is no more left behind does not count.
 */
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { environmentError } from '../errors.ts';
import { addLeftover } from '../leftovers.ts';

/** Returns how to give it up; the end of this process does so too. */
export function lockStorage(storagePath: string): () => void {
  const path = `${storagePath}.lock`;
  if (!take(path)) {
    const owner = Number.parseInt(readFileSync(path, 'utf8'), 10);
    if (isRunning(owner)) throw storageBusy(storagePath, path, owner);
    rmSync(path, { force: true });
    if (!take(path)) throw storageBusy(storagePath, path, owner);
  }
  const undo = () => rmSync(path, { force: true });
  const forget = addLeftover(undo);
  return () => {
    forget();
    undo();
  };
}

/** Makes the file, unless it is there. */
function take(path: string): boolean {
  try {
    writeFileSync(path, `${process.pid}\n`, { flag: 'wx' });
    return true;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') return false;
    throw error;
  }
}

function isRunning(processId: number): boolean {
  if (!(processId > 0)) return false;
  try {
    process.kill(processId, 0);
    return true;
  } catch (error) {
    // It is another user's.
    return error instanceof Error && 'code' in error && error.code === 'EPERM';
  }
}

function storageBusy(storagePath: string, lockPath: string, owner: number): Error {
  return environmentError({
    code: 'storage-busy',
    message: `another emulated board, process ${owner}, uses this storage`,
    where: storagePath,
    hint: `Use that one or end it, or give this board a file of its own: --storage <file>. If process ${owner} is something else, remove ${lockPath}.`,
  });
}
