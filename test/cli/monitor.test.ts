/** The monitor: lines as people and as programs see them, and a session with a console on a pty. */
import { afterEach, describe, expect, test } from 'vitest';
import { openLink } from '../../flasher/link.ts';
import { type Port, PortLost } from '../../flasher/port.ts';
import { openSerialPort } from '../../flasher/serial-port.ts';
import { describeLine, eventOf } from '../../toolchain/cli/monitor-lines.ts';
import { missing, type PtyPair, ptyPair } from '../flasher/pty.ts';
import { start, temporaryFolder } from './lm2mcu.ts';

const at = new Date('2026-02-03T04:05:06.789Z');
const shown = (text: string, style = {}) =>
  describeLine(
    { from: 'board', at, text, isCut: false },
    { timestamps: false, raw: false, color: false, ...style },
  );

describe('lines', () => {
  const answer =
    '{"tokens":5,"truncated":true,"label":"games","cycles":{"tokenizer":1,"inference":1234567}}';

  test.each([
    [answer, 'games, 5 tokens, the text was cut, 1,234,567 cycles'],
    ['{"ready":"sections"}', 'ready: sections'],
    ['{"tokens":2,"tokenLabels":["B-PER","O"]}', 'B-PER O'],
    ['{"error":{"code":"too-long","message":"more tokens"}}', 'error too-long: more tokens'],
    ['{"fault":{"kind":"BusFault"}}', 'fault: {"kind":"BusFault"}'],
    ['{"name":"card"}', '{"name":"card"}'],
    ['noise \u001b[2J', 'noise \\x1b[2J'],
    ['{"label":"\\u001b[2J"}', '\\x1b[2J'],
  ])('%s', (text, expected) => {
    expect(shown(text)).toBe(expected);
  });

  test('raw, with the time, in colours, cut, our own', () => {
    expect(shown(answer, { raw: true })).toBe(answer);
    expect(shown('x', { timestamps: true })).toBe('04:05:06.789 x');
    expect(shown('{"label":"a"}', { color: true })).toBe('\u001b[1ma\u001b[22m');
    const line = { from: 'host', at, text: 'hello', isCut: true } as const;
    const style = { timestamps: false, raw: false, color: false };
    expect(describeLine(line, style)).toBe('> hello … (the line was longer)');
  });

  test('as events', () => {
    const event = (from: 'board' | 'host', text: string) =>
      eventOf({ from, at, text, isCut: false });
    expect(event('board', '{"a":1}')).toEqual({
      at: at.toISOString(),
      from: 'board',
      answer: { a: 1 },
    });
    expect(event('board', '[1]')).toEqual({ at: at.toISOString(), from: 'board', text: '[1]' });
    expect(event('host', '{"a":1}')).toMatchObject({ text: '{"a":1}' });
  });
});

const absent = missing('socat');
describe.skipIf(absent !== '')(`a session${absent}`, () => {
  const folder = temporaryFolder();
  let pair: PtyPair | null = null;
  let port: Port | null = null;
  afterEach(async () => {
    await port?.close();
    await pair?.close();
    folder.remove();
  });

  test('lines of the input go out one after the other, each after its answer', async () => {
    pair = await ptyPair(folder.path);
    port = await openSerialPort(pair.ours, { baud: 115200, parity: 'none' });
    const link = openLink(port);
    const seen: string[] = [];
    void (async () => {
      for (;;) {
        const line = Buffer.from((await link.until(0x0a, 1000, Number.POSITIVE_INFINITY)) ?? []);
        seen.push(line.toString());
        await link.write(Buffer.from(`{"label":"ü${line}"}\r\n`));
      }
    })().catch((error: unknown) => {
      if (!(error instanceof PortLost)) throw error;
    });
    const flags = ['monitor', '--port', pair.theirs, '--json'];
    const session = start(flags, folder.path, {}, 'eins\nzwei 漢字\n');
    const { code, stdout, stderr } = await session.ended;
    expect(code, stderr).toBe(0);
    const events = stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(events.map(({ text, answer }) => text ?? answer?.label ?? null)).toEqual([
      ...['eins', 'üeins', 'zwei 漢字', 'üzwei 漢字', null],
    ]);
    expect(events.at(-1)).toEqual({ sent: 2, received: 2 });
    expect(seen).toEqual(['eins', 'zwei 漢字']);
  });
});
