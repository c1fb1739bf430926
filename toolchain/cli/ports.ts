/** `lm2mcu ports`: the serial ports of this host, and what is behind them. */
import { listPorts, type PortInfo } from '../../flasher/ports.ts';
import { defineCommand } from './command.ts';
import { alignColumns } from './targets.ts';

export const portsCommand = defineCommand({
  usage: 'ports',
  summary: 'List the serial ports of this host',
  positionals: {},
  options: {},
  examples: [
    ['lm2mcu ports', 'Every port with the maker of what is behind it'],
    ['lm2mcu ports --json', 'The same for a program'],
  ],
  async run() {
    const ports = await listPorts();
    return { json: { ports }, text: describe(ports) };
  },
});

function describe(ports: readonly PortInfo[]): string {
  if (ports.length === 0) {
    return 'No serial port: plug the board in with a cable that carries data.';
  }
  const rows = ports.map(({ path, title, vendorId, productId, serialNumber, isProbe }) => [
    path,
    title,
    vendorId === null ? '-' : `${vendorId}:${productId ?? ''}`,
    serialNumber ?? '-',
    isProbe ? 'console of the board; flash by drive or probe tool' : '',
  ]);
  return alignColumns([['port', 'what', 'USB', 'serial number', ''], ...rows]);
}
