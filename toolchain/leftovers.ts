/**
 * What must not outlive this process: temporary folders, and children, which do not notice that
 * nobody listens any more. It is undone at the end; a signal that is caught calls `endLeftovers`.
 */
import { type ChildProcess, spawn } from 'node:child_process';

const leftovers = new Set<() => void>();

/** `undo` does not wait for anything; returns how to take it back. */
export function addLeftover(undo: () => void): () => void {
  leftovers.add(undo);
  return () => leftovers.delete(undo);
}

/** Kills the child, unless it ended before. One that has to be killed hard is, whatever happens here. */
export function addChild(child: ChildProcess, signal: 'SIGKILL' | 'SIGTERM'): void {
  const endGuard = signal === 'SIGKILL' ? guard(child) : () => {};
  const release = addLeftover(() => child.kill(signal));
  for (const event of ['error', 'close'] as const) {
    child.once(event, () => {
      release();
      endGuard();
    });
  }
}

/**
 * A shell that reads from this process, and kills the child when there is nothing to read from any
 * more: SIGKILL gives this process no chance to do it. Returns how to end it.
 */
function guard({ pid }: ChildProcess): () => void {
  if (pid === undefined || process.platform === 'win32') return () => {};
  const shell = spawn('/bin/sh', ['-c', 'read -r _; kill -KILL "$0"', String(pid)], {
    stdio: ['pipe', 'ignore', 'ignore'],
    detached: true,
  });
  shell.on('error', () => {}); // without a shell the child is not guarded
  shell.unref();
  if ('unref' in shell.stdin && typeof shell.stdin.unref === 'function') shell.stdin.unref();
  return () => shell.kill('SIGKILL');
}

/** Children before the folders they work in: latest first. */
export function endLeftovers(): void {
  for (const undo of [...leftovers].reverse()) undo();
  leftovers.clear();
}

process.on('exit', endLeftovers);
