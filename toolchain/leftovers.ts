/**
 * What must not outlive this process: temporary folders, and children, which do not notice that
 * nobody listens any more. It is undone at the end; a signal that is caught calls `endLeftovers`.
 */
import type { ChildProcess } from 'node:child_process';

const leftovers = new Set<() => void>();

/** `undo` does not wait for anything; returns how to take it back. */
export function addLeftover(undo: () => void): () => void {
  leftovers.add(undo);
  return () => leftovers.delete(undo);
}

/** Kills the child, unless it ended before. */
export function addChild(child: ChildProcess, signal: 'SIGKILL' | 'SIGTERM'): void {
  const release = addLeftover(() => child.kill(signal));
  child.once('error', release);
  child.once('close', release);
}

/** Children before the folders they work in: latest first. */
export function endLeftovers(): void {
  for (const undo of [...leftovers].reverse()) undo();
  leftovers.clear();
}

process.on('exit', endLeftovers);
