/**
 * Flashing by copying a file to the drive that a debug probe or a UF2 bootloader shows. The drive
 * cannot be read back; the probe verifies, and leaves FAIL.TXT where that goes wrong.
 */
import {
  closeSync,
  existsSync,
  fsyncSync,
  openSync,
  readdirSync,
  readFileSync,
  statSync,
  writeSync,
} from 'node:fs';
import { userInfo } from 'node:os';
import { join } from 'node:path';
import { environmentError, userError } from '../toolchain/errors.ts';
import { flashFailed } from './failures.ts';
import type { Flashed, Report } from './job.ts';

export interface DriveOptions {
  /** Where it is mounted; undefined: looked for by its label. */
  readonly path: string | undefined;
  readonly volume: string;
  readonly fileName: string;
  readonly content: Uint8Array;
  /** How long the drive may take to come back after the copy. */
  readonly waitMs: number;
}

const COPY_BYTES = 65_536;
const POLL_MS = 250;

export async function flashDrive(options: DriveOptions, report: Report): Promise<Flashed> {
  const path = options.path ?? findVolume(options.volume);
  if (path === undefined) throw noDrive(options.volume);
  checkDrive(path);
  const before = readFailure(path);
  const { content } = options;
  const file = openSync(join(path, options.fileName), 'w');
  try {
    for (let done = 0; done < content.length; done += COPY_BYTES) {
      report('copy', done, content.length);
      writeSync(file, content.subarray(done, done + COPY_BYTES));
      fsyncSync(file);
    }
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw flashFailed(`the drive took no more: ${reason}`, path);
  } finally {
    closeQuietly(file);
  }
  report('wait for the board');
  const failure = await failureAfter(path, before, options.waitMs);
  if (failure !== null)
    throw flashFailed(`the board’s probe says: ${failure}`, join(path, FAILURE));
  return {
    verifiedBy: 'the board’s debug probe: it left no FAIL.TXT',
    bytesWritten: content.length,
    bytesKept: 0,
    repeats: 0,
    started: true,
  };
}

/** Where systems mount a drive with this label. */
export function findVolume(
  label: string,
  roots: readonly string[] = mountRoots(),
): string | undefined {
  return roots.map((root) => join(root, label)).find((path) => existsSync(path));
}

function mountRoots(): readonly string[] {
  const { username } = userInfo();
  return [`/media/${username}`, `/run/media/${username}`, '/media', '/mnt', '/Volumes'];
}

const FAILURE = 'FAIL.TXT';

function readFailure(path: string): string | null {
  const file = join(path, FAILURE);
  return existsSync(file) ? readFileSync(file, 'utf8').trim() : null;
}

/** The drive goes away and comes back when the probe is done; FAIL.TXT may be there from before. */
async function failureAfter(
  path: string,
  before: string | null,
  waitMs: number,
): Promise<string | null> {
  for (let waited = 0; waited < waitMs; waited += POLL_MS) {
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    if (!existsSync(path)) continue;
    const failure = readFailure(path);
    if (failure !== null && failure !== before) return failure;
  }
  if (!existsSync(path)) throw flashFailed('the drive did not come back', path);
  return null;
}

function checkDrive(path: string): void {
  const stats = statSync(path, { throwIfNoEntry: false });
  if (stats?.isDirectory() !== true) {
    throw userError({
      code: 'no-drive',
      message: `${JSON.stringify(path)} is no mounted drive`,
      where: path,
      hint: 'Give the folder where the board’s drive is mounted.',
    });
  }
  const marks = readdirSync(path).map((name) => name.toUpperCase());
  const isBoard = marks.some((name) =>
    /^(MBED|DETAILS\.TXT|INFO_UF2\.TXT|BOARD|USER|SEGGER)/.test(name),
  );
  if (isBoard) return;
  throw userError({
    code: 'not-a-board',
    message: `${JSON.stringify(path)} does not look like a board’s drive`,
    where: path,
    hint: 'Such a drive has MBED.HTM, DETAILS.TXT, INFO_UF2.TXT or the like; nothing was written.',
  });
}

function noDrive(volume: string): Error {
  return environmentError({
    code: 'no-drive',
    message: `there is no drive ${volume}`,
    hint: 'Plug the board in and let the system mount its drive; or give its folder with --port.',
  });
}

function closeQuietly(file: number): void {
  try {
    closeSync(file);
  } catch {
    // A probe takes the drive away as soon as it has the whole file.
  }
}
