/** The console over a line that loses, doubles and flips: in step again, or an error; never endless. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { openBoardConsole } from '../../flasher/console.ts';
import { lineSplitter, printable } from '../../flasher/lines.ts';
import { openLink } from '../../flasher/link.ts';
import type { Port } from '../../flasher/port.ts';
import { Lm2mcuError } from '../../toolchain/errors.ts';
import { faultyPort, noFaults } from './faulty-port.ts';
import { virtualLine } from './virtual-line.ts';

const card = '{"name":"test","target":"here","sha256":"00","kind":"classification"}';

/** Firmware that answers a line with its number of bytes as tokens. */
async function serveConsole(port: Port): Promise<never> {
  const link = openLink(port);
  for (;;) {
    const line = Buffer.from((await link.until(0x0a, 1 << 20, Number.POSITIVE_INFINITY)) ?? []);
    await port.wait(20);
    const answer =
      line.toString() === '?' ? card : JSON.stringify({ tokens: line.length, label: `ü${line}` });
    await port.write(Buffer.from(`${answer}\n`));
  }
}

const options = { answerMs: 3000, attempts: 5 };

describe('asking', () => {
  test('a quiet line: every answer in turn, Unicode and all', async () => {
    const line = virtualLine();
    void serveConsole(line.device);
    const console = await openBoardConsole(line.host, options);
    expect(console.card.target).toBe('here');
    for (const text of ['one', '漢字 und Köln 🙂', '#text ?']) {
      expect(JSON.parse(await console.ask(text)).label).toBe(`ü${text}`);
    }
  });

  test('what is left from before, and half a line, do no harm', async () => {
    const line = virtualLine();
    void serveConsole(line.device);
    await line.host.write(Buffer.from('an old line\nanother, not ended'));
    const console = await openBoardConsole(line.host, options);
    expect(JSON.parse(await console.ask('new'))).toMatchObject({ label: 'ünew' });
  });

  test('disturbed lines: the answer to the question, or an error', async () => {
    const outcomes = { right: 0, error: 0 };
    for (let seed = 1; seed <= 200; seed++) {
      const line = virtualLine();
      void serveConsole(line.device);
      const rates = { drop: 0.003, flip: 0.003, duplicate: 0.003, delay: 0.003, delayMs: 4000 };
      const port = faultyPort(line.host, { ...noFaults, seed, ...rates });
      try {
        const console = await openBoardConsole(port, options);
        for (let index = 0; index < 5; index++) {
          const text = 'x'.repeat(5 + 7 * index);
          const isPlausible = (answer: object) =>
            'tokens' in answer && answer.tokens === text.length;
          expect(JSON.parse(await console.ask(text, isPlausible)).tokens).toBe(text.length);
          outcomes.right += 1;
        }
      } catch (error) {
        if (!(error instanceof Lm2mcuError)) throw error;
        expect(['no-answer', 'no-console']).toContain(error.details.code);
        outcomes.error += 1;
      }
    }
    expect(outcomes.right).toBeGreaterThan(800);
  });

  test('a board that says nothing, or something else all the time', async () => {
    const silent = virtualLine();
    void (async () => {
      for (;;) await silent.device.read(Number.POSITIVE_INFINITY);
    })();
    await expect(openBoardConsole(silent.host, options)).rejects.toThrow('no firmware of lm2mcu');
    const chatty = virtualLine();
    void (async () => {
      for (;;) await chatty.device.write(Buffer.from('temperature 21\r\n'));
    })();
    await expect(openBoardConsole(chatty.host, options)).rejects.toThrow('no firmware of lm2mcu');
  });

  test('a fault of the firmware is told', async () => {
    const line = virtualLine();
    void (async () => {
      await line.device.read(Number.POSITIVE_INFINITY);
      await line.device.write(Buffer.from('\n{"fault":{"kind":"BusFault","pc":"0x1"}}\n'));
      await line.device.read(Number.POSITIVE_INFINITY);
    })();
    await expect(openBoardConsole(line.host, options)).rejects.toThrow('BusFault');
  });
});

describe('lines', () => {
  const chunks = fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 20 });

  test('how the bytes are cut into pieces makes no difference', () => {
    fc.assert(
      fc.property(chunks, (parts) => {
        const [piecewise, whole] = [lineSplitter(), lineSplitter()];
        const lines = parts.flatMap((part) => piecewise.push(part));
        const all = whole.push(Buffer.concat(parts));
        expect([...lines, piecewise.flush()]).toEqual([...all, whole.flush()]);
      }),
    );
  });

  test('text survives, with any end of line', () => {
    const words = fc
      .string({ unit: 'grapheme', minLength: 1 })
      .filter((one) => !/[\r\n]/.test(one));
    fc.assert(
      fc.property(fc.array(words), fc.constantFrom('\n', '\r', '\r\n'), (lines, end) => {
        const splitter = lineSplitter();
        const bytes = Buffer.from(lines.map((line) => line + end).join(''));
        const found = splitter.push(bytes).map(({ text }) => text);
        expect(found).toEqual(lines.map((line) => new TextDecoder().decode(Buffer.from(line))));
      }),
    );
  });

  test('a line without end takes no more memory than the limit', () => {
    const splitter = lineSplitter(100);
    for (let index = 0; index < 1000; index++) splitter.push(new Uint8Array(100).fill(0x61));
    const [line] = splitter.push(Buffer.from('\nnext\n'));
    expect(line).toEqual({ text: 'a'.repeat(100), isCut: true });
  });

  test('control characters are shown, not obeyed', () => {
    expect(printable('a\u001b[2Jb\tü\u0007\u009b')).toBe('a\\x1b[2Jb\tü\\x07\\x9b');
  });
});
