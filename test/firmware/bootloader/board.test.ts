/**
 * Whole roads under QEMU: the bootloader, Debian's stm32flash as a host that nobody here wrote, power
 * cuts by killing the emulator, and a model that answers over the same line.
 */
import { spawnSync } from 'node:child_process';
import { readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, test } from 'vitest';
import { trimVocabulary } from '../../../examples/trim-vocabulary.ts';
import { buildFirmware, type Firmware } from '../../../toolchain/build/firmware.ts';
import { type EmulatedBoard, startBoard } from '../../../toolchain/emulate/board.ts';
import { openExecutor, textLine } from '../../../toolchain/emulate/executor.ts';
import { compile } from '../../../toolchain/pipeline.ts';
import { loadTarget, type Target } from '../../../toolchain/targets.ts';
import { lm2mcu } from '../../cli/lm2mcu.ts';
import { exampleModel, fixtureModels } from '../../conformance/models.ts';
import { makeRandom } from '../../tokenizer/samples.ts';
import { buildFake, hasEmulator, targets, temporaryFolder } from '../fake-firmware.ts';
import { openSerial, type Serial, stm32flash } from './serial.ts';

const hasTools = hasEmulator && has('stm32flash', ['-h']);
const withBootloader = targets.filter(({ bootloader }) => bootloader !== undefined);
const boards: EmulatedBoard[] = [];
const serials: Serial[] = [];
afterEach(async () => {
  for (const serial of serials.splice(0)) serial.close();
  await Promise.all(boards.splice(0).map((board) => board.kill()));
});

const storages: string[] = [];
afterAll(() => {
  for (const path of storages) rmSync(path, { force: true });
});
function newStorage(name: string): string {
  const path = temporaryFolder(`${name}-${storages.length}.img`);
  storages.push(path);
  return path;
}

async function start(target: Target, firmware: Firmware, storagePath: string): Promise<Running> {
  const board = await startBoard({
    target,
    bootloaderPath: firmware.bootloaderElfPath!,
    storagePath,
  });
  boards.push(board);
  const serial = openSerial(board.port);
  serials.push(serial);
  return { board, serial };
}

interface Running {
  readonly board: EmulatedBoard;
  readonly serial: Serial;
}

function flash(
  target: Target,
  { board: { port }, serial }: Running,
  { binPaths }: Firmware,
): Promise<string> {
  const { storage, wireOrigin } = target.bootloader!;
  const nor = target.regions.find(({ name }) => name === 'nor')!;
  return serial.lend(async () => {
    await stm32flash(port, binPaths['nor']!, wireOrigin + nor.origin - storage.origin);
    return stm32flash(port, binPaths[target.codeRegion]!, wireOrigin, { go: true });
  });
}

/** It finds the way into the bootloader by itself. */
function flashByOurs(
  target: Target,
  { board: { port }, serial }: Running,
  { hexPath }: Firmware,
): Promise<string> {
  return serial.lend(async () => {
    const args = ['flash', hexPath, '--target', target.name, '--port', port];
    const { code, stdout, stderr } = await lm2mcu(args, tmpdir());
    if (code !== 0) throw new Error(stderr);
    return stdout;
  });
}

/** fake_model.c: a model that never answers. */
const HANG = 1_000_002;

const inNor = { '.lm2mcu.encoder': 'nor', '.lm2mcu.embedding': 'nor' };

describe.skipIf(!hasTools)('fake model', () => {
  test.each(withBootloader.map((target) => [target.name, target] as const))(
    '%s: stm32flash writes it, it runs, comes back, and survives a restart',
    async (name, target) => {
      const firmware = await buildFake(target, {}, inNor);
      const storage = newStorage(name);
      const running = await start(target, firmware, storage);
      const { board, serial } = running;
      expect(await serial.enterBootloader()).toEqual([]);
      expect(await flash(target, running, firmware)).toContain('Starting execution');
      expect(await serial.line()).toBe('{"ready":"fake"}');
      serial.write('hello\n');
      const answer = JSON.parse(await serial.line());
      expect(answer).toMatchObject({ tokens: 5, logits: [1064, 0, 106] });

      serial.write('!boot\n');
      expect(await serial.line()).toBe('{"boot":"bootloader"}');
      expect(await serial.enterBootloader()).toEqual([]);
      await board.reset();
      expect(await serial.line()).toBe('{"ready":"fake"}');

      serial.close();
      await board.kill();
      const again = await start(target, firmware, storage);
      expect(await again.serial.line()).toBe('{"ready":"fake"}');
      again.serial.write('hello\n');
      const { instructions: _, ...bits } = JSON.parse(await again.serial.line());
      const { instructions: __, ...before } = answer;
      expect(bits).toEqual(before);
    },
  );

  test('new code leaves the weights\u2019 file as it is', async () => {
    const target = loadTarget('ast1030-evb');
    const [before, after] = [
      await buildFake(target, {}, inNor),
      await buildFake(target, { FAKE_LAST: '((id) + 1)' }, inNor),
    ];
    const read = (firmware: Firmware, region: string) => readFileSync(firmware.binPaths[region]!);
    expect(read(before, 'nor').equals(read(after, 'nor'))).toBe(true);
    expect(read(before, 'flash').equals(read(after, 'flash'))).toBe(false);
  });

  test('an application that does not listen cannot keep a host out', async () => {
    const target = loadTarget('mps2-an386-boot');
    const good = await buildFake(target, {}, inNor);
    const running = await start(target, good, newStorage('deaf'));
    const { board, serial } = running;
    await serial.enterBootloader();
    await flash(target, running, good);
    await serial.line();
    serial.write(`#ids ${HANG}\n`);
    await serial.knockWhile(() => board.reset());
    await flash(target, running, good);
    expect(await serial.line()).toBe('{"ready":"fake"}');
  });

  const clients: readonly (readonly [string, typeof flash, cuts: number])[] = [
    ['stm32flash', flash, 6],
    ['lm2mcu flash', flashByOurs, 3],
  ];
  test.each(clients)(
    'power cuts under %s: never garbage, always flashable again',
    async (client, flash, quickCuts) => {
      const cuts = Number(process.env['LM2MCU_POWER_CUTS'] ?? quickCuts);
      const target = loadTarget('ast1030-evb');
      const images = [
        { firmware: await buildFake(target, {}, inNor), last: 106 },
        { firmware: await buildFake(target, { FAKE_LAST: '((id) + 1)' }, inNor), last: 107 },
      ] as const;
      const isWhole = (storage: Buffer, { binPaths }: Firmware) =>
        (['flash', 'nor'] as const).every((region, index) => {
          const bytes = readFileSync(binPaths[region]!);
          return storage.subarray(index * 0x20000, index * 0x20000 + bytes.length).equals(bytes);
        });
      const storage = newStorage('power-cuts');
      const random = makeRandom(20);
      let running = await start(target, images[1].firmware, storage);
      await running.serial.enterBootloader();
      const began = Date.now();
      await flash(target, running, images[1].firmware);
      const flashMs = Date.now() - began;
      const outcomes: string[] = [];
      for (let cut = 0; cut < cuts; cut++) {
        const { firmware, last } = images[cut % 2]!;
        const old = images[(cut + 1) % 2]!;
        await running.serial.enterBootloader();
        const flashing = flash(target, running, firmware).catch(() => 'cut off');
        await new Promise((resolve) => setTimeout(resolve, random(1.2 * flashMs)));
        running.serial.close();
        await running.board.kill();
        await flashing;

        const found = readFileSync(storage);
        const wholes = [old.firmware, firmware].map((one) => isWhole(found, one));
        running = await start(target, firmware, storage);
        const { serial } = running;
        const said = await serial.enterBootloader();
        const isStarted = said.includes('{"ready":"fake"}');
        expect(isStarted, `cut ${cut}: ${said}`).toBe(wholes.includes(true));
        outcomes.push(isStarted ? (wholes[0] ? 'old' : 'new') : 'none');

        await flash(target, running, firmware);
        expect(await serial.line()).toBe('{"ready":"fake"}');
        serial.write('hello\n');
        expect(JSON.parse(await serial.line()).logits).toEqual([1064, 0, last]);
      }
      console.log(`${client}, ${cuts} power cuts within ${flashMs} ms: ${count(outcomes)}`);
    },
    3_600_000,
  );
});

describe.skipIf(!hasTools)('a model', () => {
  const texts = ['a puzzle game with falling blocks', 'a mail server', 'fonts for Ångström 深'];

  test('of the fixtures on ast1030-evb: weights in the NOR, logits of the interpreter', async () => {
    const { request } = fixtureModels()[0]!;
    await expectSameAnswers('ast1030-evb', request);
  });

  test('BERT-tiny with a small vocabulary on mps2-an386-boot', async () => {
    const example = exampleModel();
    if (example === undefined) return;
    const modelPath = temporaryFolder('small-vocabulary');
    trimVocabulary(
      example.request.modelPath,
      texts.map((text) => ({ text })),
      modelPath,
    );
    const calibration = example.request.calibration!.slice(0, 5);
    await expectSameAnswers('mps2-an386-boot', { modelPath, maxTokens: 64, calibration });
  });

  async function expectSameAnswers(
    board: string,
    request: Omit<Parameters<typeof compile>[0], 'target'>,
  ): Promise<void> {
    const target = loadTarget(board);
    const compiled = compile({ ...request, target });
    const firmware = await buildFirmware({
      ...{ target, sources: compiled.sources, placement: compiled.placement, optimisation: 'O2' },
      outDir: join(temporaryFolder('bootloader-model'), board),
    });
    const running = await start(target, firmware, newStorage(board));
    const { serial } = running;
    await serial.enterBootloader();
    await flash(target, running, firmware);
    expect(JSON.parse(await serial.line())).toEqual({ ready: compiled.imported.card.name });
    const interpreter = await openExecutor('interpreter', { graphBin: compiled.graphBin });
    for (const text of texts) {
      const { outputs } = await interpreter.classify({ text });
      serial.write(`${textLine({ text })}\n`);
      const { logits, label } = JSON.parse(await serial.line());
      expect(logits).toEqual([...outputs]);
      const best = logits.indexOf(Math.max(...logits));
      expect(label).toBe(compiled.imported.card.labels?.[best]);
    }
  }
});

function count(outcomes: readonly string[]): string {
  return ['old', 'new', 'none']
    .map((kind) => `${outcomes.filter((one) => one === kind).length} ${kind}`)
    .join(', ');
}

function has(tool: string, args: readonly string[]): boolean {
  const found = spawnSync(tool, args).status === 0;
  if (!found) console.error(`SKIPPED: tests that need ${tool}, which is not installed`);
  return found;
}
