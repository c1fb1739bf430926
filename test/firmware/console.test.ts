/** The console protocol, on every emulated machine. */
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { openQemuConsole } from '../../toolchain/emulate/qemu.ts';
import { emulatedBoards, hasEmulator, openFake, targets } from './fake-firmware.ts';

const byName = (name: string) => targets.find((target) => target.name === name)!;
const m4 = byName('mps2-an386');

describe.skipIf(!hasEmulator)('console', () => {
  test.each(emulatedBoards.map((target) => [target.name, target] as const))(
    '%s answers text, pairs, ids and questions',
    async (_name, target) => {
      const { ask, close } = await openFake(target);
      const answer = async (line: string) => JSON.parse(await ask(line));

      expect(await answer('hello')).toEqual({
        tokens: 5,
        truncated: false,
        label: 'games "quoted"',
        logits: [1064, 0, 106],
        instructions: { tokenizer: expect.any(Number), inference: expect.any(Number) },
      });
      expect(await answer('a\tbc')).toMatchObject({
        tokens: 3,
        label: 'café',
        logits: [194, 394, 94],
      });
      expect(await answer('#ids 3 17 | 42 8')).toMatchObject({ tokens: 4, logits: [40, 100, 3] });
      expect(await answer('?')).toEqual({
        name: 'fake',
        target: 'test',
        sha256: expect.stringMatching(/^(0123456789abcdef){4}$/),
        kind: 'classification',
        maxTokens: 16,
        outputs: 3,
        outputScale: expect.closeTo(0.0123, 9),
        labels: ['games "quoted"', 'café', 'tab\there'],
        arenaBytes: 6144,
        textBytes: 6144 - 256,
        stack: { availableBytes: expect.any(Number), peakBytes: expect.any(Number) },
        counter: 'instructions',
      });
      await close();
    },
  );

  test('a line of 4 KB arrives whole, and one that does not fit is an error', async () => {
    const { ask } = await openFake(m4);
    const long = JSON.parse(await ask(`${'x'.repeat(5887)}y`));
    expect(long).toMatchObject({ tokens: 16, truncated: true, logits: [16 * 120 * 2, 0, 115] });
    expect(JSON.parse(await ask('x'.repeat(5889)))).toEqual({
      error: {
        code: 'line-too-long',
        message: 'the line does not fit in the memory free for text',
        limit: 5888,
      },
    });
    expect(JSON.parse(await ask('after'))).toMatchObject({ tokens: 5 });
  });

  test('answers arrive in the order of the questions', async () => {
    const { ask } = await openFake(m4);
    const lines = Array.from({ length: 50 }, (_, i) => 'z'.repeat(i % 16));
    const answers = await Promise.all(lines.map((line) => ask(line)));
    expect(answers.map((answer) => JSON.parse(answer).tokens)).toEqual(lines.map((l) => l.length));
  });

  test.each([
    ['no id', '#ids', 'bad-token'],
    ['a word among ids', '#ids 1 x', 'bad-ids'],
    ['two segment starts', '#ids 1 | 2 | 3', 'bad-ids'],
    ['an id of 2^31', '#ids 2147483648', 'bad-ids'],
    ['a longer id', '#ids 99999999999', 'bad-ids'],
    ['more ids than tokens', `#ids${' 1'.repeat(17)}`, 'too-long'],
    ['more ids than memory', `#ids${' 1'.repeat(2000)}`, 'line-too-long'],
  ])('%s: an error, and the next line is read', async (_what, line, code) => {
    const { ask } = await openFake(m4);
    expect(JSON.parse(await ask(line)).error.code).toBe(code);
    expect(JSON.parse(await ask('#ids 2147'))).toMatchObject({
      tokens: 1,
      logits: [4294, 0, 2142],
    });
  });

  test('text that looks like a command is text', async () => {
    const { ask } = await openFake(m4);
    const tokens = async (line: string) => JSON.parse(await ask(line)).tokens;
    expect(await tokens('#text ?')).toBe(1);
    expect(await tokens('#text #ids 1 2')).toBe(8);
    expect(await tokens('#text ')).toBe(0);
    expect(await tokens('')).toBe(0);
    expect(await tokens('#idsx 1')).toBe(7);
    expect(await tokens('??')).toBe(2);
  });

  test('token classification labels every token, and takes what it has no labels for', async () => {
    const kind = { FAKE_KIND: 'LM2MCU_TOKEN_CLASSIFICATION' };
    const labelled = await openFake(m4, kind);
    expect(JSON.parse(await labelled.ask('#ids 7 200'))).toMatchObject({
      tokens: 2,
      tokenLabels: ['tab\there', 'games "quoted"'],
      logits: [7, -7, 100, 200, -200, 100],
    });
    const bare = await openFake(m4, { ...kind, FAKE_LABEL_COUNT: 0 });
    expect(Object.keys(JSON.parse(await bare.ask('a')))).toEqual([
      'tokens',
      'truncated',
      'logits',
      'instructions',
    ]);
  });

  test('an embedding is an embedding', async () => {
    const { ask } = await openFake(m4, { FAKE_KIND: 'LM2MCU_EMBEDDING', FAKE_LABEL_COUNT: 0 });
    expect(JSON.parse(await ask('hello'))).toMatchObject({ tokens: 5, embedding: [1064, 0, 106] });
    expect(JSON.parse(await ask('?'))).toMatchObject({ kind: 'embedding', labels: null });
  });

  test('a chip counts cycles', async () => {
    const { ask } = await openFake({ ...m4, counter: { ...m4.counter, unit: 'cycles' } });
    expect(JSON.parse(await ask('hello'))).toMatchObject({
      instructions: null,
      cycles: { tokenizer: expect.any(Number), inference: expect.any(Number) },
    });
  });

  test('the scale survives its decimal form', async () => {
    const { ask } = await openFake(m4);
    const floatOf = (bits: number) => new Float32Array(new Int32Array([bits]).buffer)[0]!;
    const printed = async (bits: number) => {
      await ask(`#ids 1000004 ${bits}`);
      return JSON.parse(await ask('?')).outputScale;
    };
    // Positive floats from the smallest denormal up to 2^63.
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 0x5effffff }), async (bits) => {
        expect(Math.fround(await printed(bits))).toBe(floatOf(bits));
      }),
      { numRuns: 200, examples: [[1], [0x007fffff], [0x00800000], [0x3f800000], [0x5effffff]] },
    );
    expect(await printed(0)).toBe(null);
    expect(await printed(0x7f800000)).toBe(null);
  });
});

describe.skipIf(!hasEmulator)('when the firmware goes wrong', () => {
  test.each(['mps2-an386', 'mps2-an500', 'mps2-an505', 'mps3-an547'])(
    'a fault on %s is named',
    async (name) => {
      const { ask } = await openFake(byName(name));
      await expect(ask('#ids 1000001')).rejects.toMatchObject({
        kind: 'internal',
        details: {
          code: 'firmware-fault',
          // UNDEFINSTR is bit 16 of CFSR.
          message: expect.stringMatching(
            /^the firmware faulted: \{"fault":\{"kind":"UsageFault","pc":"0x[0-9a-f]{8}".*"cfsr":"0x00010000".*"stackOverflowed":false\}\}$/,
          ),
          where: `${name} (qemu-system-arm)`,
        },
      });
    },
  );

  test('a hang ends', async () => {
    const { ask } = await openFake(m4);
    await expect(ask('#ids 1000002', { timeoutMs: 300 })).rejects.toMatchObject({
      details: { code: 'firmware-hang', message: 'the firmware does not answer after 0.3 s' },
    });
    await expect(ask('hello')).rejects.toMatchObject({ details: { code: 'emulator-stopped' } });
  });

  test('an image that is no firmware', async () => {
    const open = openQemuConsole({ target: m4, elfPath: '/dev/null' });
    await expect(open).rejects.toMatchObject({
      details: {
        code: 'emulator-stopped',
        message: expect.stringContaining(
          "the emulator stopped\nqemu: fatal: Lockup: can't escalate",
        ),
      },
    });
  });

  test('a board without a twin cannot be emulated', async () => {
    const open = openQemuConsole({ target: { ...m4, emulation: undefined }, elfPath: '' });
    await expect(open).rejects.toMatchObject({
      kind: 'user',
      details: {
        code: 'no-emulator',
        message: 'mps2-an386 has no emulated twin',
        hint: 'Run it here with --on interpreter, or name a twin in its board file.',
      },
    });
  });

  test('a missing emulator names the package', async () => {
    const path = process.env['PATH'];
    process.env['PATH'] = '';
    try {
      await expect(openQemuConsole({ target: m4, elfPath: '' })).rejects.toMatchObject({
        kind: 'environment',
        details: {
          code: 'missing-emulator',
          message: 'qemu-system-arm is not installed',
          hint: 'On Debian and Ubuntu: apt install qemu-system-arm',
        },
      });
    } finally {
      process.env['PATH'] = path;
    }
  });

  test('a broken stack canary spoils the answer', async () => {
    const { ask } = await openFake(m4);
    expect(JSON.parse(await ask('#ids 1000005')).error.code).toBe('stack-overflow');
  });
});
