/**
 * A board under QEMU whose serial port is a pseudo-terminal that any flasher or terminal opens. With a
 * bootloader, its storage is a file that survives the emulator.
 *
 * On a machine with a model of serial NOR the file is that chip's content. On the others it backs the
 * RAM that plays the storage. A pseudo-terminal knows no baud rate, parity, DTR or RTS.
 */
import { type ChildProcessWithoutNullStreams, spawn } from 'node:child_process';
import {
  closeSync,
  constants,
  existsSync,
  openSync,
  statSync,
  truncateSync,
  writeSync,
} from 'node:fs';
import { createInterface } from 'node:readline';
import * as z from 'zod';
import { environmentError, internalError, userError } from '../errors.ts';
import { addChild } from '../leftovers.ts';
import type { BootloaderFacts, Target } from '../targets.ts';
import { prepareMachine, type QemuMachine, type QemuRequest } from './qemu.ts';
import { lockStorage } from './storage-lock.ts';

const EMULATOR = 'qemu-system-arm';
const START_TIMEOUT_MS = 20_000;

export interface BoardRequest {
  readonly target: Pick<Target, 'name' | 'bootloader'>;
  /** `bootloader.elf`. */
  readonly bootloaderPath: string;
  /** Made, erased, where it is not there. */
  readonly storagePath: string;
}

export interface EmulatedBoard {
  /** Its serial port, to be opened like any other. */
  readonly port: string;
  /** As its reset button does. */
  reset(): Promise<void>;
  /** As pulling its plug does: at once, whatever it is doing. */
  kill(): Promise<void>;
  /** When it runs no more. */
  readonly ended: Promise<void>;
}

/** Boards with the project's bootloader: erased at first, to be flashed. */
export async function startBoard(request: BoardRequest): Promise<EmulatedBoard> {
  const { target, bootloaderPath, storagePath } = request;
  const { bootloader } = target;
  if (bootloader === undefined) {
    throw internalError(`${target.name} has no bootloader to flash it by under QEMU`);
  }
  makeStorage(storagePath, bootloader);
  const unlock = lockStorage(storagePath);
  return startMachine({
    args: [
      ...machineArguments(bootloader, storagePath),
      ...['-kernel', bootloaderPath, '-icount', 'shift=0', '-display', 'none', '-net', 'none'],
    ],
    folder: undefined,
    close: unlock,
  });
}

/** Any other board that is emulated: with its firmware, which runs at once. */
export function startTwin(request: QemuRequest): Promise<EmulatedBoard> {
  return startMachine(prepareMachine(request));
}

async function startMachine({
  args,
  folder,
  close,
}: Pick<QemuMachine, 'args' | 'folder' | 'close'>): Promise<EmulatedBoard> {
  const qemu = spawn(
    EMULATOR,
    [
      ...args,
      ...['-chardev', 'pty,id=uart', '-serial', 'chardev:uart'],
      ...['-monitor', 'none', '-qmp', 'stdio', '-S'],
    ],
    { cwd: folder },
  );
  addChild(qemu, 'SIGKILL');
  const monitor = openMonitor(qemu);
  void monitor.closed.then(close);
  await monitor.execute('qmp_capabilities');
  const port = ptyOf(await monitor.execute('query-chardev'));
  // While nobody has the pseudo-terminal open, QEMU drops what the board says, and looks only every
  // second whether somebody came.
  const held = openSync(port, constants.O_RDWR | constants.O_NOCTTY);
  await new Promise((resolve) => setTimeout(resolve, 1_200));
  await monitor.execute('cont');
  let isKilled = false;
  return {
    port,
    async reset() {
      await monitor.execute('system_reset');
    },
    async kill() {
      if (isKilled) return;
      isKilled = true;
      qemu.kill('SIGKILL');
      await monitor.closed;
      closeSync(held);
    },
    ended: monitor.closed,
  };
}

function machineArguments({ machine, storage }: BootloaderFacts, path: string): readonly string[] {
  const { emulatedBy } = storage;
  // A comma in a path is doubled (QEMU manual, "-drive").
  const file = path.replaceAll(',', ',,');
  return 'chip' in emulatedBy
    ? [
        ...['-M', `${machine},fmc-model=${emulatedBy.chip}`],
        ...['-drive', `file=${file},format=raw,if=mtd`],
      ]
    : [
        ...['-M', `${machine},memory-backend=storage`, '-object'],
        `memory-backend-file,id=storage,mem-path=${file},size=${emulatedBy.ramBytes},share=on`,
      ];
}

const ERASED_CHUNK = Buffer.alloc(1 << 20, 0xff);

/** As the factory delivers it: erased. QEMU wants a file of exactly the memory's size. */
function makeStorage(path: string, { storage }: BootloaderFacts): void {
  const { emulatedBy, sizeBytes } = storage;
  const fileBytes = 'chip' in emulatedBy ? sizeBytes : emulatedBy.ramBytes;
  if (existsSync(path)) {
    if (statSync(path).size === fileBytes) return;
    throw userError({
      code: 'bad-storage',
      message: 'the file is not the storage of this board: it has another size',
      where: path,
      neededBytes: fileBytes,
      availableBytes: statSync(path).size,
      hint: 'Give another file, or remove it for a board as new.',
    });
  }
  const file = createStorage(path);
  for (let at = 0; at < sizeBytes; at += ERASED_CHUNK.length) {
    writeSync(file, ERASED_CHUNK, 0, Math.min(ERASED_CHUNK.length, sizeBytes - at), at);
  }
  closeSync(file);
  truncateSync(path, fileBytes);
}

function createStorage(path: string): number {
  try {
    return openSync(path, 'w');
  } catch (error) {
    throw userError({
      code: 'bad-storage',
      message: `the storage cannot be made: ${error instanceof Error ? error.message : error}`,
      where: path,
      hint: 'Give a file in a folder that exists: --storage <file>',
    });
  }
}

interface Monitor {
  /** The answer's `return`. */
  execute(command: string): Promise<unknown>;
  readonly closed: Promise<void>;
}

/** QEMU's machine protocol on its stdin and stdout, one command at a time. */
function openMonitor(qemu: ChildProcessWithoutNullStreams): Monitor {
  let said = '';
  let answer: ((message: Record<string, unknown>) => void) | undefined;
  let fail: ((error: Error) => void) | undefined;
  qemu.stderr.setEncoding('utf8').on('data', (text: string) => {
    said += text;
  });
  qemu.stdin.on('error', () => {}); // shows as its end
  createInterface({ input: qemu.stdout }).on('line', (line) => {
    if (!line.startsWith('{')) return;
    const message: Record<string, unknown> = JSON.parse(line);
    if ('return' in message || 'error' in message) answer?.(message);
  });
  const closed = new Promise<void>((resolve) => {
    const end = (error: Error) => {
      fail?.(error);
      resolve();
    };
    qemu.once('error', (cause: NodeJS.ErrnoException) =>
      end(cause.code === 'ENOENT' ? missingEmulator() : cause),
    );
    qemu.once('close', () => end(internalError(`the emulator stopped\n${said}`, EMULATOR)));
  });
  return {
    closed,
    execute: (command) =>
      new Promise((resolve, reject) => {
        const timer = setTimeout(
          () => reject(internalError(`the emulator does not answer ${command}`, EMULATOR)),
          START_TIMEOUT_MS,
        );
        fail = (error) => {
          clearTimeout(timer);
          reject(error);
        };
        answer = (message) => {
          clearTimeout(timer);
          if ('return' in message) resolve(message['return']);
          else reject(internalError(JSON.stringify(message['error']), command));
        };
        qemu.stdin.write(`${JSON.stringify({ execute: command })}\n`);
      }),
  };
}

/** QEMU lists its character devices with what they are connected to: `pty:/dev/pts/3`. */
function ptyOf(devices: unknown): string {
  const list = z.array(z.object({ label: z.string(), filename: z.string() })).parse(devices);
  const uart = list.find(({ label }) => label === 'uart');
  if (uart === undefined) throw internalError('the emulator has no serial port', EMULATOR);
  return uart.filename.replace(/^pty:/, '');
}

function missingEmulator(): Error {
  return environmentError({
    code: 'missing-emulator',
    message: `${EMULATOR} is not installed`,
    hint: 'On Debian and Ubuntu: apt install qemu-system-arm',
  });
}
