/**
 * What a system says when a port cannot be opened, as what the user can do about it. Systems say it
 * in their own words; these are those of Linux, macOS and Windows through npm's serialport.
 */
import { environmentError, type Lm2mcuError, userError } from '../toolchain/errors.ts';
import type { PortInfo } from './ports.ts';

export interface PortProblem {
  readonly path: string;
  /** The system's message. */
  readonly reason: string;
  readonly platform: NodeJS.Platform;
  /** What could be opened instead. */
  readonly ports: readonly Pick<PortInfo, 'path' | 'title'>[];
}

type Kind = 'missing' | 'forbidden' | 'busy' | 'not-a-port' | 'other';

/** In order: Windows says "Access denied" of a port that another program has open. */
const patterns: readonly (readonly [kind: Kind, pattern: RegExp, platform?: NodeJS.Platform])[] = [
  ['busy', /cannot lock port|resource busy|temporarily unavailable|in use/i],
  ['busy', /access denied/i, 'win32'],
  ['forbidden', /permission denied|access denied|operation not permitted/i],
  ['missing', /no such file|file not found|no such device|cannot find/i],
  ['not-a-port', /inappropriate ioctl|not a tty|invalid argument|is a directory/i],
];

export function portError(problem: PortProblem): Lm2mcuError {
  const { path, reason, platform } = problem;
  const kind = patterns.find(
    ([, pattern, only]) => pattern.test(reason) && (only === undefined || only === platform),
  )?.[0];
  switch (kind) {
    case 'missing':
      return environmentError({
        code: 'no-such-port',
        message: `there is no port ${path}`,
        hint: portsHint(problem),
      });
    case 'forbidden':
      return environmentError({
        code: 'port-forbidden',
        message: `this user may not open ${path}`,
        hint: permissionHint(platform),
      });
    case 'busy':
      return environmentError({
        code: 'port-busy',
        message: `another program has ${path} open`,
        hint: `Close the serial monitor, IDE or other lm2mcu that uses it${busyHint(platform, path)}.`,
      });
    case 'not-a-port':
      return userError({
        code: 'not-a-port',
        message: `${path} is no serial port`,
        hint: 'lm2mcu ports shows those of this host; lm2mcu emulate says that of its board.',
      });
    default:
      return environmentError({
        code: 'port-not-opened',
        message: `${path} cannot be opened: ${reason}`,
        hint: 'Unplug the board and plug it in again, and check with: lm2mcu ports',
      });
  }
}

/** The USB serial driver or the other end takes nothing any more. */
export function portStuck(path: string): Lm2mcuError {
  return environmentError({
    code: 'port-stuck',
    message: `${path} takes no more bytes`,
    hint: 'Unplug the board and plug it in again; check that nothing holds its serial line.',
  });
}

export function portLost(path: string, use: 'flash' | 'console'): Lm2mcuError {
  const comfort =
    use === 'flash'
      ? ': no half-written image is started. A bootloader that does not answer then waits for the rest of a command: reset it'
      : '';
  return environmentError({
    code: 'port-lost',
    message: `${path} went away while it was used`,
    hint: `Check cable and power, then run the same command again${comfort}.`,
  });
}

function portsHint({ path, platform, ports }: PortProblem): string {
  if (platform === 'darwin' && path.startsWith('/dev/tty.')) {
    return `Use ${path.replace('/dev/tty.', '/dev/cu.')}: /dev/tty.* is for incoming calls.`;
  }
  if (ports.length === 0) return `No board is connected. ${driverHint(platform)}`;
  const list = ports.map((one) => `${one.path} (${one.title})`).join(', ');
  return `There is ${list}. lm2mcu ports shows them.`;
}

function driverHint(platform: NodeJS.Platform): string {
  const cable = 'Check that the USB cable carries data, not only power';
  switch (platform) {
    case 'win32':
      return `${cable}, and that the Device Manager shows a COM port: else its driver is missing.`;
    case 'darwin':
      return `${cable}; ls /dev/cu.* shows what macOS has.`;
    default:
      return `${cable}; sudo dmesg shows what the kernel found.`;
  }
}

function permissionHint(platform: NodeJS.Platform): string {
  switch (platform) {
    case 'linux':
      return 'sudo usermod -aG dialout "$USER" (on Arch: uucp), then log out and in again.';
    case 'darwin':
      return 'Allow the terminal to use USB accessories in System Settings, Privacy & Security.';
    default:
      return 'Run the terminal as a user who may open it.';
  }
}

function busyHint(platform: NodeJS.Platform, path: string): string {
  switch (platform) {
    case 'linux':
      return ` (fuser -v ${path} names it; ModemManager lets go after some seconds)`;
    case 'darwin':
      return ` (lsof ${path} names it)`;
    default:
      return '';
  }
}
