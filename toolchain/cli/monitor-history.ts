/** The lines that were written in earlier sessions, latest first. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';

const maxLines = 500;

function historyPath(): string {
  const state = process.env['XDG_STATE_HOME'] ?? join(homedir(), '.local', 'state');
  return join(state, 'lm2mcu', 'monitor-history');
}

export function loadHistory(): string[] {
  try {
    return readFileSync(historyPath(), 'utf8').split('\n').filter(Boolean).slice(0, maxLines);
  } catch {
    return []; // the first session, or a home that cannot be read
  }
}

export function saveHistory(lines: readonly string[]): void {
  try {
    mkdirSync(dirname(historyPath()), { recursive: true });
    writeFileSync(historyPath(), `${lines.slice(0, maxLines).join('\n')}\n`, { mode: 0o600 });
  } catch {
    // A read-only home: the session goes on without a memory.
  }
}
