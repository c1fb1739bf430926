/** Which of a board's loaders puts this image there, when the user names some of it or nothing. */
import { statSync } from 'node:fs';
import { environmentError, type Lm2mcuError, userError } from '../toolchain/errors.ts';
import type { Loader, Target } from '../toolchain/targets.ts';
import { findVolume } from './drive.ts';
import { reaches } from './flash.ts';
import type { Image } from './image.ts';
import type { PortInfo } from './ports.ts';

/** One that a flasher of ours, or an installed tool, works by. */
export type RealLoader = Exclude<Loader, { readonly protocol: 'emulator' | 'by-hand' }>;

export function isReal(loader: Loader): loader is RealLoader {
  return loader.protocol !== 'emulator' && loader.protocol !== 'by-hand';
}

export const protocols = [
  'stm32-uart',
  'sam-ba',
  'mcuboot-smp',
  'ymodem',
  'drive',
  'probe-rs',
  'openocd',
] as const satisfies readonly RealLoader['protocol'][];

/** Those that need --port. */
export const onSerialPort: readonly string[] = ['stm32-uart', 'sam-ba', 'mcuboot-smp', 'ymodem'];

export interface Choice {
  readonly target: Target;
  readonly image: Image;
  readonly protocol: RealLoader['protocol'] | undefined;
  readonly port: string | undefined;
  /** For the plan alone a loader that is not ready will do. */
  readonly isDryRun: boolean;
  /** Whether a command is installed. */
  readonly isInstalled: (command: string) => boolean;
}

export function chooseLoader(choice: Choice): RealLoader {
  const { target, protocol, port } = choice;
  const loaders = target.loaders.filter(isReal);
  if (loaders.length === 0) throw noLoader(target);
  if (protocol !== undefined) {
    const named = loaders.find((one) => one.protocol === protocol);
    if (named !== undefined) return named;
    throw userError({
      code: 'no-such-loader',
      message: `${target.name} has no loader ${protocol}`,
      hint: `It has ${loaders.map((one) => one.protocol).join(', ')}. A loader of your own goes into a board file: targets/README.md.`,
    });
  }
  if (port !== undefined) return byPort(target, loaders, port);
  return outOfBox(choice, loaders);
}

function noLoader({ name, loaders }: Target): Lm2mcuError {
  const byHand = loaders.flatMap((one) => (one.protocol === 'by-hand' ? [one.how] : []));
  if (byHand.length === 0) {
    return userError({
      code: 'no-loader',
      message: `${name} is emulated: there is no board to flash`,
      hint: 'Run the build with lm2mcu run; boards to flash are shown by lm2mcu targets.',
    });
  }
  return userError({
    code: 'no-loader',
    message: `${name} is loaded by a tool of its maker, not by lm2mcu`,
    hint: byHand.join('\n        '),
  });
}

function byPort(target: Target, loaders: readonly RealLoader[], port: string): RealLoader {
  const isDrive = statSync(port, { throwIfNoEntry: false })?.isDirectory() === true;
  const fitting = loaders.find((one) =>
    isDrive ? one.protocol === 'drive' : onSerialPort.includes(one.protocol),
  );
  if (fitting !== undefined) return fitting;
  throw userError({
    code: 'no-such-loader',
    message: `${target.name} has no bootloader on a serial port`,
    where: port,
    hint: otherWays(
      loaders,
      'Its port is the console (lm2mcu monitor). Leave --port out, and get one of these ready:',
    ),
  });
}

/** Where the port of the board's probe was given for the bootloader in ROM. */
export function probePort(
  { loaders }: Target,
  loader: Extract<RealLoader, { readonly serial: string }>,
  { path, title }: Pick<PortInfo, 'path' | 'title'>,
): Lm2mcuError {
  const others = loaders.filter(isReal).filter((one) => one !== loader);
  return userError({
    code: 'probe-port',
    message: `${path} is the console behind the board’s ${title}, where the chip’s bootloader does not listen`,
    where: path,
    hint: otherWays(
      others,
      `Connect ${loader.serial}. Or leave --port out, and get one of these ready:`,
    ),
  });
}

/** What can be done where the port that was given does not lead to a bootloader. */
function otherWays(loaders: readonly RealLoader[], advice: string): string {
  return [advice, ...loaders.map(howToGetReady)].join('\n        ');
}

/** The first that can be used here and now; when none can, the first that could. */
function outOfBox(choice: Choice, loaders: readonly RealLoader[]): RealLoader {
  const { target, image, isDryRun } = choice;
  const reaching = loaders.filter((one) => !('regions' in one) || reaches(target, one, image));
  const ready = reaching.find((one) => isReady(one, choice));
  if (ready !== undefined) return ready;
  if (isDryRun) return reaching[0] ?? loaders[0]!;
  throw environmentError({
    code: 'no-loader-ready',
    message: `none of the ways to flash ${target.name} is ready`,
    hint: reaching.map(howToGetReady).join('\n        '),
  });
}

export function isReady(
  loader: RealLoader,
  { port, isInstalled }: Pick<Choice, 'port' | 'isInstalled'>,
): boolean {
  switch (loader.protocol) {
    case 'drive':
      return port !== undefined || findVolume(loader.volume) !== undefined;
    case 'probe-rs':
    case 'openocd':
      return isInstalled(loader.protocol);
    default:
      return port !== undefined;
  }
}

export function howToGetReady(loader: RealLoader): string {
  switch (loader.protocol) {
    case 'drive':
      return `drive: plug the board in, and mount its drive ${loader.volume}`;
    case 'probe-rs':
      return 'probe-rs: install it (https://probe.rs)';
    case 'openocd':
      return 'openocd: install it (apt-get install openocd, brew install open-ocd)';
    default:
      return `${loader.protocol}: give its --port; the line is ${loader.serial}`;
  }
}
