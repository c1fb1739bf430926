/** What is said when a port cannot be used, on every system, in `golden/advice.txt`. */
import { readFileSync, writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { type PortProblem, portError, portLost, portStuck } from '../../flasher/advice.ts';
import { chooseLoader, probePort, type RealLoader } from '../../flasher/choose-loader.ts';
import { flashFailed, noAnswer, refused, verifyFailed, wrongChip } from '../../flasher/failures.ts';
import { noPort } from '../../flasher/flash.ts';
import { joinSegments } from '../../flasher/image.ts';
import { describePorts } from '../../flasher/ports.ts';
import { formatError, Lm2mcuError } from '../../toolchain/errors.ts';
import { packagePath } from '../../toolchain/package-root.ts';
import { loadTarget } from '../../toolchain/targets.ts';

const ports = [
  { path: '/dev/ttyACM0', title: 'ST-LINK/V2.1' },
  { path: '/dev/ttyUSB0', title: 'FTDI USB serial adapter' },
];
const nucleo = loadTarget('nucleo-f446re');
const rom = nucleo.loaders.find(
  (one): one is Extract<RealLoader, { protocol: 'stm32-uart' }> => one.protocol === 'stm32-uart',
)!;

/** What is said where nothing is installed and no drive mounted. */
function choiceFails(board: string, port?: string): Error {
  const target = loadTarget(board);
  const { origin } = target.regions[0]!;
  const image = joinSegments([{ address: origin, bytes: new Uint8Array(4) }], 'test');
  const nothing = { protocol: undefined, isDryRun: false, isInstalled: () => false };
  try {
    chooseLoader({ target, image, port, ...nothing });
  } catch (error) {
    if (error instanceof Error) return error;
  }
  throw new Error('a loader was found');
}

/** As serialport 13 words them on each system. */
const problems: readonly Partial<PortProblem>[] = [
  { reason: 'Error: Permission denied, cannot open /dev/ttyUSB0' },
  { reason: 'Error Resource temporarily unavailable Cannot lock port' },
  { reason: 'Error: Device or resource busy, cannot open /dev/ttyUSB0' },
  { reason: 'Error: No such file or directory, cannot open /dev/ttyUSB9', path: '/dev/ttyUSB9' },
  { reason: 'Error: No such file or directory, cannot open /dev/ttyUSB9', ports: [] },
  { reason: 'Error: Inappropriate ioctl for device, cannot open /dev/null', path: '/dev/null' },
  { reason: 'Error: Input/output error, cannot open /dev/ttyUSB0' },
  {
    reason: 'Error: Permission denied, cannot open',
    platform: 'darwin',
    path: '/dev/cu.usbmodem1',
  },
  { reason: 'Error: Resource busy, cannot open', platform: 'darwin', path: '/dev/cu.usbmodem1' },
  { reason: 'Error: No such file or directory', platform: 'darwin', path: '/dev/tty.usbmodem1' },
  { reason: 'Error: No such file or directory', platform: 'darwin', path: '/dev/cu.x', ports: [] },
  { reason: 'Opening COM3: Access denied', platform: 'win32', path: 'COM3' },
  { reason: 'Opening COM9: File not found', platform: 'win32', path: 'COM9', ports: [] },
  { reason: 'Opening COM3: Unknown error code 31', platform: 'win32', path: 'COM3' },
];

test('every message is as written down', () => {
  const system = problems.map((problem) => {
    const whole = {
      path: '/dev/ttyUSB0',
      reason: '',
      platform: 'linux',
      ports,
      ...problem,
    } as const;
    return [`${whole.platform}: ${whole.reason}`, portError(whole)] as const;
  });
  const own: readonly (readonly [string, Error])[] = [
    ['the port goes away', portLost('/dev/ttyUSB0', 'flash')],
    ['the port takes nothing', portStuck('/dev/ttyUSB0')],
    ['no port given', noPort('stm32-uart')],
    ['nothing is ready', choiceFails('nucleo-f446re')],
    ['the port of the probe', probePort(nucleo, rom, ports[0]!)],
    ['a port that leads to no bootloader', choiceFails('nrf52840-dk', '/dev/ttyACM0')],
    [
      'no bootloader',
      noAnswer('STM32 (AN3155)', 'Bring the board into its bootloader: BOOT0 high, then reset.'),
    ],
    [
      'a disturbed line',
      flashFailed('the bootloader does not write: no answer after the data', '0x08000100'),
    ],
    ['wrong after writing', verifyFailed('page 3 of flash, at 0x0800c000')],
    ['protected', refused('write', '0x08000000', 'That memory may be write-protected.')],
    ['another chip', wrongChip('0x413', '0x421', 'nucleo-f446re')],
  ];
  const text = [...system, ...own]
    .map(([name, error]) => {
      if (!(error instanceof Lm2mcuError)) throw error;
      return `== ${name}\n${formatError(error.details)}\n${error.kind}, ${error.details.code}\n`;
    })
    .join('\n');
  const golden = packagePath('test', 'flasher', 'golden', 'advice.txt');
  if (process.env['BLESS'] === '1') writeFileSync(golden, text);
  expect(text, 'BLESS=1 rewrites it').toBe(readFileSync(golden, 'utf8'));
});

test('ports: USB first, numbers in order, makers by name, no ports without hardware', () => {
  const found = describePorts([
    { path: '/dev/ttyS0' },
    { path: '/dev/ttyAMA0' },
    { path: '/dev/ttyUSB10', vendorId: '0403', productId: '6001', serialNumber: 'A1' },
    { path: '/dev/ttyUSB2', vendorId: '1A86', productId: '7523' },
    {
      path: '/dev/ttyACM0',
      vendorId: '0483',
      productId: '374b',
      manufacturer: 'STMicroelectronics',
    },
    { path: '/dev/ttyACM1', vendorId: 'f00d', productId: '0001', manufacturer: 'A new maker' },
  ]);
  expect(found.map(({ path, title, isProbe }) => [path, title, isProbe])).toEqual([
    ['/dev/ttyACM0', 'ST-LINK/V2.1', true],
    ['/dev/ttyACM1', 'A new maker', false],
    ['/dev/ttyUSB2', 'WCH CH34x USB serial adapter', false],
    ['/dev/ttyUSB10', 'FTDI USB serial adapter', false],
    ['/dev/ttyAMA0', 'serial port', false],
  ]);
});
