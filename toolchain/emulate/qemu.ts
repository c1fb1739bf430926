/**
 * Runs a firmware image under QEMU and talks to its console: a line in, a line of JSON out.
 *
 * `-icount shift=0` makes every instruction take one nanosecond of virtual time, so counts are
 * exact and repeatable. The UART takes a byte when the firmware asks for it, so no line is too fast.
 */
import { resolve } from 'node:path';
import { environmentError, userError } from '../errors.ts';
import type { Target } from '../targets.ts';
import { type NpuService, openNpuService } from './npu-service.ts';
import { openProcessConsole, type ProcessConsole } from './process-console.ts';

const EMULATOR = 'qemu-system-arm';

export type QemuConsole = ProcessConsole;

export interface QemuRequest {
  readonly target: Pick<Target, 'name' | 'emulation' | 'npu'>;
  /** `Firmware.emulatorElfPath`. */
  readonly elfPath: string;
}

export async function openQemuConsole(request: QemuRequest): Promise<QemuConsole> {
  const { name, folder, args, close } = prepareMachine(request);
  try {
    const console = await openProcessConsole({
      command: EMULATOR,
      folder,
      args: [...args, ...['-monitor', 'none', '-serial', 'stdio']],
      where: `${name} (${EMULATOR})`,
      stopped: { code: 'emulator-stopped', message: 'the emulator stopped' },
      missing: () =>
        environmentError({
          code: 'missing-emulator',
          message: `${EMULATOR} is not installed`,
          hint: 'On Debian and Ubuntu: apt install qemu-system-arm',
        }),
      // Boards with a network chip always warn that nothing is plugged in.
      isNoise: (line) => line.includes('has no peer'),
    });
    return {
      ask: console.ask,
      close: async () => {
        await console.close();
        close();
      },
    };
  } catch (error) {
    close();
    throw error;
  }
}

/** How QEMU is started with a firmware image, but for its serial port and monitor. */
export interface QemuMachine {
  readonly name: string;
  /** Where; without it anywhere. */
  readonly folder: string | undefined;
  readonly args: readonly string[];
  /** After it has ended. */
  close(): void;
}

export function prepareMachine({ target, elfPath }: QemuRequest): QemuMachine {
  const name = target.emulation?.machine;
  if (name === undefined) {
    throw userError({
      code: 'no-emulator',
      message: `${target.name} has no emulated twin`,
      hint: 'Run it here with --on interpreter, or name a twin in its board file.',
    });
  }
  const npu = npuOf(target);
  return {
    name,
    folder: npu?.folder,
    args: [
      ...['-M', `${name}${npu?.machineOptions ?? ''}`, ...(npu?.args ?? [])],
      ...['-kernel', resolve(elfPath), '-icount', 'shift=0', '-display', 'none', '-net', 'none'],
    ],
    close: () => npu?.close(),
  };
}

function npuOf({ npu, emulation }: QemuRequest['target']): NpuService | undefined {
  const twin = emulation?.board.npu;
  if (npu === undefined || twin?.driver !== 'emulated') return undefined;
  return openNpuService(npu, twin);
}
