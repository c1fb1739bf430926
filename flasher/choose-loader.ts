/** Which of a board's loaders puts this image there, when the user names some of it or nothing. */
import { statSync } from 'node:fs';
import { userError } from '../toolchain/errors.ts';
import type { Loader, Target } from '../toolchain/targets.ts';
import { findVolume } from './drive.ts';
import { reaches } from './flash.ts';
import type { Image } from './image.ts';

export type RealLoader = Exclude<Loader, { readonly protocol: 'emulator' }>;

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
const onSerialPort: readonly string[] = ['stm32-uart', 'sam-ba', 'mcuboot-smp', 'ymodem'];

export interface Choice {
  readonly target: Target;
  readonly image: Image;
  readonly protocol: RealLoader['protocol'] | undefined;
  readonly port: string | undefined;
  /** Whether a command is installed. */
  readonly isInstalled: (command: string) => boolean;
}

export function chooseLoader(choice: Choice): RealLoader {
  const { target, protocol, port } = choice;
  const loaders = target.loaders.filter((one): one is RealLoader => one.protocol !== 'emulator');
  if (loaders.length === 0) {
    throw userError({
      code: 'no-loader',
      message: `${target.name} is emulated: there is no board to flash`,
      hint: 'Run the build with lm2mcu run; boards to flash are shown by lm2mcu targets.',
    });
  }
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
    hint: `Flash it without --port, by ${loaders.map((one) => one.protocol).join(' or ')}; its serial port is the console (lm2mcu monitor).`,
  });
}

/** The first that can be used here and now; when none can, the first that could. */
function outOfBox(
  { target, image, isInstalled }: Choice,
  loaders: readonly RealLoader[],
): RealLoader {
  const reaching = loaders.filter((one) => !('regions' in one) || reaches(target, one, image));
  const isReady = (loader: RealLoader) => {
    switch (loader.protocol) {
      case 'drive':
        return findVolume(loader.volume) !== undefined;
      case 'probe-rs':
      case 'openocd':
        return isInstalled(loader.protocol);
      default:
        return false;
    }
  };
  const ready = reaching.find(isReady);
  if (ready !== undefined) return ready;
  throw userError({
    code: 'no-loader-ready',
    message: `none of the ways to flash ${target.name} is ready`,
    hint: reaching.map(howToGetReady).join('\n        '),
  });
}

function howToGetReady(loader: RealLoader): string {
  switch (loader.protocol) {
    case 'drive':
      return `drive: plug the board in, and mount its drive ${loader.volume}`;
    case 'probe-rs':
      return 'probe-rs: install it (https://probe.rs)';
    case 'openocd':
      return 'openocd: install it (apt-get install openocd, brew install open-ocd)';
    default:
      return `${loader.protocol}: give --port; the line is ${loader.serial}`;
  }
}
