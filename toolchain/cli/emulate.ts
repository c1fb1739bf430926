/** `lm2mcu emulate`: the board of a build under QEMU, with a serial port to flash and to talk to. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { startBoard } from '../emulate/board.ts';
import { parseStoredModel, readGraphFile } from '../emulate/stored-model.ts';
import { environmentError, userError } from '../errors.ts';
import { endLeftovers } from '../leftovers.ts';
import { boardOf } from '../targets.ts';
import { checkBuilt } from './built.ts';
import { defineCommand } from './command.ts';

export const emulateCommand = defineCommand({
  usage: 'emulate <dir>',
  summary: 'Run a board with its bootloader, for flash and monitor, until Ctrl-C',
  positionals: {
    dir: { type: 'string', demandOption: true, describe: 'The folder that lm2mcu build wrote' },
  },
  options: {
    storage: {
      type: 'string',
      requiresArg: true,
      describe: 'The file that keeps the board’s flash; <dir>.storage if not given',
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
    const bootloaderPath = join(dir, 'bootloader.elf');
    if (target.bootloader !== undefined && !existsSync(bootloaderPath)) {
      throw userError({
        code: 'no-firmware',
        message: 'there is no bootloader in this build',
        where: bootloaderPath,
        hint: 'Build it: lm2mcu build <model> --target <board> --out <dir>',
      });
    }
    const release = onInterrupt(endLeftovers);
    try {
      const storagePath = storage ?? `${dir.replace(/\/+$/, '')}.storage`;
      const board = await startBoard({ target, bootloaderPath, storagePath });
      const facts = { port: board.port, board: target.name, storage: storagePath };
      const lines = [
        `board     ${target.name}, under qemu-system-arm until Ctrl-C`,
        `storage   ${storagePath}`,
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
