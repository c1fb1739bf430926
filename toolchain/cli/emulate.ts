/** `lm2mcu emulate`: the board of a build under QEMU, with a serial port to flash and to talk to. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { type EmulatedBoard, startBoard, startTwin } from '../emulate/board.ts';
import { firmwareImage } from '../emulate/executor.ts';
import { parseStoredModel, readGraphFile } from '../emulate/stored-model.ts';
import { environmentError, userError } from '../errors.ts';
import { endLeftovers } from '../leftovers.ts';
import { boardOf, type Target } from '../targets.ts';
import { checkBuilt } from './built.ts';
import { defineCommand } from './command.ts';

export const emulateCommand = defineCommand({
  usage: 'emulate <dir>',
  summary: 'Run the board of a build behind a port, until Ctrl-C; with a bootloader, for flash',
  positionals: {
    dir: { type: 'string', demandOption: true, describe: 'The folder that lm2mcu build wrote' },
  },
  options: {
    storage: {
      type: 'string',
      requiresArg: true,
      describe:
        'The file that keeps the flash of a board with a bootloader; <dir>.storage if not given',
    },
  },
  examples: [
    ['lm2mcu emulate build/sections', 'Says which port it is; keeps what is flashed in a file'],
    [
      'lm2mcu emulate build/sections --storage board.storage --json',
      'For a program that flashes it',
    ],
  ],
  async run({ dir, storage, json }, { onInterrupt }) {
    checkBuilt(dir);
    const target = boardOf(parseStoredModel(readGraphFile(join(dir, 'graph.bin'))).target);
    const release = onInterrupt(endLeftovers);
    try {
      const storagePath = storage ?? `${dir.replace(/\/+$/, '')}.storage`;
      const board = await start(target, dir, storagePath);
      const kept = target.bootloader === undefined ? null : storagePath;
      const facts = { port: board.port, board: target.name, storage: kept };
      const lines = [
        `board     ${target.name}, under qemu-system-arm until Ctrl-C`,
        ...(kept === null ? [] : [`storage   ${kept}`]),
        `port      ${board.port}`,
      ];
      process.stdout.write(`${json ? JSON.stringify(facts) : lines.join('\n')}\n`);
      await board.ended;
      throw environmentError({ code: 'emulator-stopped', message: 'the emulator stopped' });
    } finally {
      release();
    }
  },
});

function start(target: Target, dir: string, storagePath: string): Promise<EmulatedBoard> {
  if (target.bootloader === undefined) {
    const elfPath = firmwareImage(dir);
    if (elfPath === undefined) throw noImage(join(dir, 'firmware.elf'), 'firmware');
    return startTwin({ target, elfPath });
  }
  const bootloaderPath = join(dir, 'bootloader.elf');
  if (!existsSync(bootloaderPath)) throw noImage(bootloaderPath, 'bootloader');
  return startBoard({ target, bootloaderPath, storagePath });
}

function noImage(where: string, what: string): Error {
  return userError({
    code: 'no-firmware',
    message: `there is no ${what} in this build`,
    where,
    hint: 'Build it: lm2mcu build <model> --target <board> --out <dir>',
  });
}
