/** Pseudo-terminals through socat: two ends that are serial ports for any program. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { join } from 'node:path';

/** Why a test is skipped, or the empty string. */
export function missing(...commands: readonly string[]): string {
  const absent = commands.filter((command) => {
    const { error } = spawnSync(command, ['--version'], { stdio: 'ignore', timeout: 10_000 });
    return error !== undefined && 'code' in error && error.code === 'ENOENT';
  });
  return absent.length === 0 ? '' : ` (skipped: ${absent.join(', ')} not installed)`;
}

export interface PtyPair {
  readonly ours: string;
  readonly theirs: string;
  close(): Promise<void>;
}

export function ptyPair(folder: string): Promise<PtyPair> {
  return start(folder, (ours, theirs) => [pty(ours), pty(theirs)]);
}

/** A port whose other end is a program's standard input and output. */
export function ptyTo(folder: string, command: string): Promise<PtyPair> {
  return start(folder, (ours) => [pty(ours), `EXEC:${command},pty,raw,echo=0,stderr`]);
}

function pty(link: string): string {
  return `PTY,raw,echo=0,link=${link}`;
}

async function start(
  folder: string,
  ends: (ours: string, theirs: string) => readonly string[],
): Promise<PtyPair> {
  const [ours, theirs] = [join(folder, 'ours'), join(folder, 'theirs')];
  const both = ends(ours, theirs);
  const socat = spawn('socat', [...both], { cwd: folder, stdio: 'ignore' });
  const links = both.length === 2 && both[1]!.startsWith('PTY') ? [ours, theirs] : [ours];
  for (let waited = 0; !links.every((link) => existsSync(link)); waited += 20) {
    if (waited > 5000) throw new Error('socat made no pseudo-terminal');
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return { ours, theirs, close: () => end(socat) };
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const closed = once(child, 'close');
  child.kill();
  await closed;
}

export interface Ran {
  readonly code: number | null;
  readonly output: string;
}

export async function runProgram(
  command: string,
  args: readonly string[],
  cwd: string,
): Promise<Ran> {
  const child = spawn(command, args, { cwd, stdio: ['ignore', 'pipe', 'pipe'] });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
  }
  const [code] = await once(child, 'close');
  return { code, output };
}
