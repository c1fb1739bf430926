/** A text while it is generated: the same in whatever parts the console's line comes, and ended by Ctrl-C. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { answerListener } from '../../toolchain/emulate/live-text.ts';
import { openProcessConsole } from '../../toolchain/emulate/process-console.ts';
import { internalError } from '../../toolchain/errors.ts';

/** As `write_character` of firmware-templates/console.c. */
function escaped(text: string): string {
  return Array.from(text, (character) => {
    if (character < ' ') return `\\u00${character.charCodeAt(0).toString(16).padStart(2, '0')}`;
    return '"\\'.includes(character) ? `\\${character}` : character;
  }).join('');
}

test('the text of an answer, cut anywhere, in whole characters', () => {
  const cuts = fc.array(fc.integer({ min: 1, max: 9 }), { minLength: 1 });
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), cuts, (text, sizes) => {
      const line = `{"tokens":3,"truncated":false,"text":"${escaped(text)}","generated":[1],"stopped":"text\\":\\""}\n`;
      const bytes = new TextEncoder().encode(line);
      const pieces: string[] = [];
      const { onBytes } = answerListener({
        onText: (piece) => pieces.push(piece),
        signal: AbortSignal.abort(),
      });
      for (let at = 0, turn = 0; at < bytes.length; turn++) {
        const size = sizes[turn % sizes.length]!;
        onBytes(bytes.subarray(at, at + size));
        at += size;
      }
      expect(pieces.join('')).toBe(Buffer.from(text).toString());
      expect(pieces.every((piece) => piece !== '' && Buffer.from(piece).toString() === piece)).toBe(
        true,
      );
    }),
  );
});

/** Says a piece, and the rest when Ctrl-C has come; any other byte within the answer ends it. */
const speaker = `
  process.stdout.write('{"ready":"it"}\\n');
  process.stdin.on('data', (bytes) => {
    for (const byte of bytes) {
      if (byte === 10) process.stdout.write('{"text":"a piece');
      if (byte === 3) process.stdout.write('","stopped":"cancelled"}\\n');
    }
  });
`;

test('a console is heard while it writes, and cancelled', async () => {
  const console = await openProcessConsole({
    command: process.execPath,
    args: ['-e', speaker],
    where: 'a test',
    stopped: { code: 'stopped', message: 'it stopped' },
    missing: () => internalError('no Node'),
  });
  const controller = new AbortController();
  const pieces: string[] = [];
  const onText = (piece: string): void => {
    pieces.push(piece);
    controller.abort();
  };
  const listener = answerListener({ onText, signal: controller.signal });
  const answer = JSON.parse(await console.ask('go on', { listener }));
  expect(answer).toEqual({ text: 'a piece', stopped: 'cancelled' });
  expect(pieces).toEqual(['a piece']);
  await console.close();
});
