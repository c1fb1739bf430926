/**
 * Builds the fake model (fake-model/fake_model.c) for a board, once per variant and test file, and
 * opens its console under QEMU. Tests that need these tools skip loudly where they are missing.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';
import {
  buildFirmware,
  type Firmware,
  type FirmwareRequest,
} from '../../toolchain/build/firmware.ts';
import { openQemuConsole, type QemuConsole } from '../../toolchain/emulate/qemu.ts';
import { packagePath } from '../../toolchain/package-root.ts';
import { listTargets, loadTarget, type Target } from '../../toolchain/targets.ts';

/** Values for the macros of fake-model/lm2mcu_model.h. */
export type Variant = Readonly<Record<string, string | number>>;

export const hasCompiler = has('arm-none-eabi-gcc');
export const hasEmulator = hasCompiler && has('qemu-system-arm');

export const targets: readonly Target[] = listTargets().map((name) => loadTarget(name));
/** Those that QEMU starts as they are; the others run as one of them. */
export const emulatedBoards = targets.filter((target) => target.emulation?.isItself);

const folder = mkdtempSync(join(tmpdir(), 'lm2mcu-firmware-'));
const consoles: QemuConsole[] = [];
afterAll(async () => {
  await Promise.all(consoles.map((console) => console.close()));
  rmSync(folder, { recursive: true });
});

export function fakeSources(variant: Variant = {}): FirmwareRequest['sources'] {
  const read = (name: string) =>
    readFileSync(packagePath('test', 'firmware', 'fake-model', name), 'utf8');
  let header = read('lm2mcu_model.h');
  for (const [macro, value] of Object.entries(variant)) {
    const line = new RegExp(`^#define ${macro}\\b(\\(\\w+\\))?.*$`, 'm');
    if (!line.test(header)) throw new Error(`the fake model has no ${macro}`);
    header = header.replace(line, `#define ${macro}$1 ${value}`);
  }
  return [
    { path: 'fake_model.c', content: read('fake_model.c') },
    { path: 'lm2mcu_model.h', content: header },
  ];
}

const built = new Map<string, Promise<Firmware>>();

export function buildFake(
  target: Target,
  variant: Variant = {},
  placement: FirmwareRequest['placement'] = {},
): Promise<Firmware> {
  const key = JSON.stringify([target.name, target.counter, variant, placement]);
  const firmware =
    built.get(key) ??
    buildFirmware({
      target,
      sources: fakeSources(variant),
      placement,
      optimisation: 'O2',
      outDir: join(folder, `${built.size}-${target.name}`),
    });
  built.set(key, firmware);
  return firmware;
}

/** Closed after the test file at the latest. */
export async function openFake(
  target: Target,
  variant: Variant = {},
  placement: FirmwareRequest['placement'] = {},
): Promise<QemuConsole> {
  const firmware = await buildFake(target, variant, placement);
  const elfPath = firmware.emulatorElfPath;
  if (elfPath === undefined) throw new Error(`${target.name} has no emulator`);
  const console = await openQemuConsole({ target, elfPath });
  consoles.push(console);
  return console;
}

export function temporaryFolder(name: string): string {
  return join(folder, name);
}

function has(tool: string): boolean {
  const found = spawnSync(tool, ['--version']).status === 0;
  if (!found) console.error(`SKIPPED: tests that need ${tool}, which is not installed`);
  return found;
}
