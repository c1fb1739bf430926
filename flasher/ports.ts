/** The serial ports of this host, with the names of who made what is behind them. */
import { readdirSync } from 'node:fs';
import { loadSerialPort } from './load-serialport.ts';

export interface PortInfo {
  readonly path: string;
  /** Maker and kind, as well as they are known. */
  readonly title: string;
  readonly vendorId: string | null;
  readonly productId: string | null;
  readonly serialNumber: string | null;
  /** The console behind a debug probe: a bootloader in ROM listens on other pins. */
  readonly isProbe: boolean;
}

/** What a system tells about a port. */
export interface RawPort {
  readonly path: string;
  readonly manufacturer?: string | undefined;
  readonly vendorId?: string | undefined;
  readonly productId?: string | undefined;
  readonly serialNumber?: string | undefined;
}

export async function listPorts(): Promise<readonly PortInfo[]> {
  const { SerialPort } = await loadSerialPort();
  const found: readonly RawPort[] = await SerialPort.list().catch(() => withoutUdev());
  return describePorts(found);
}

/** Containers and small systems have no udev to ask. */
function withoutUdev(): readonly RawPort[] {
  return readdirSync('/dev')
    .filter((name) => /^tty(USB|ACM|AMA|S)\d+$/.test(name))
    .map((name) => ({ path: `/dev/${name}` }));
}

/** USB adapters first; ports without any hardware behind them are left out. */
export function describePorts(ports: readonly RawPort[]): readonly PortInfo[] {
  return ports
    .filter(({ path, vendorId }) => vendorId !== undefined || !/^\/dev\/ttyS\d+$/.test(path))
    .map(describePort)
    .toSorted((a, b) => {
      const [first, second] = [a, b].map(({ vendorId }) => (vendorId === null ? 1 : 0));
      return first! - second! || a.path.localeCompare(b.path, 'en', { numeric: true });
    });
}

function describePort({
  path,
  manufacturer,
  vendorId,
  productId,
  serialNumber,
}: RawPort): PortInfo {
  const vendor = vendorId?.toLowerCase().padStart(4, '0') ?? null;
  const product = productId?.toLowerCase().padStart(4, '0') ?? null;
  const known =
    usbDevices.find(({ id }) => id === `${vendor}:${product}`) ??
    usbDevices.find(({ id }) => id === vendor);
  return {
    path,
    title: known?.title ?? manufacturer ?? (vendor === null ? 'serial port' : `USB ${vendor}`),
    vendorId: vendor,
    productId: product,
    serialNumber: serialNumber ?? null,
    isProbe: known?.isProbe ?? false,
  };
}

/** Vendor and product numbers as in the Linux USB ID repository (linux-usb.org/usb.ids). */
const usbDevices: readonly {
  readonly id: string;
  readonly title: string;
  readonly isProbe?: true;
}[] = [
  { id: '0483:374b', title: 'ST-LINK/V2.1', isProbe: true },
  { id: '0483:374e', title: 'STLINK-V3E', isProbe: true },
  { id: '0483:374f', title: 'STLINK-V3', isProbe: true },
  { id: '0483:3752', title: 'ST-LINK/V2.1', isProbe: true },
  { id: '0483:3753', title: 'STLINK-V3', isProbe: true },
  { id: '0483:3754', title: 'STLINK-V3', isProbe: true },
  { id: '0483:5740', title: 'STM32 USB serial' },
  { id: '0483', title: 'STMicroelectronics' },
  { id: '1366', title: 'SEGGER J-Link', isProbe: true },
  { id: '0d28:0204', title: 'Arm DAPLink', isProbe: true },
  { id: '0403', title: 'FTDI USB serial adapter' },
  { id: '10c4', title: 'Silicon Labs CP210x USB serial adapter' },
  { id: '1a86', title: 'WCH CH34x USB serial adapter' },
  { id: '067b', title: 'Prolific USB serial adapter' },
  { id: '2341', title: 'Arduino' },
  { id: '239a', title: 'Adafruit' },
  { id: '2e8a', title: 'Raspberry Pi' },
  { id: '03eb', title: 'Microchip (Atmel)' },
  { id: '1915', title: 'Nordic Semiconductor' },
  { id: '1fc9', title: 'NXP' },
  { id: '303a', title: 'Espressif' },
  { id: '2fe3', title: 'Zephyr USB serial' },
];
