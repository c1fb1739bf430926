/** The device's side of SAM-BA over USB, with Arduino's extensions, as bossac finds it on a SAMD21. */
import { crc16Xmodem } from '../../../flasher/checksums.ts';
import { type Link, openLink } from '../../../flasher/link.ts';
import type { Port } from '../../../flasher/port.ts';

const FLASH_BYTES = 0x40000;
const PAGE_BYTES = 64;
const RAM = 0x20000000;
const RAM_BYTES = 0x8000;
/** Registers that tell the chip: CPUID of a Cortex-M0+, DSU DID of a SAMD21G18A. */
const registers: Readonly<Record<number, number>> = {
  3758157056: 0x410cc601,
  1090527256: 0x10010305,
};
const AIRCR = 0xe000ed0c;

export interface SamChip {
  readonly flash: Uint8Array;
  readonly ram: Uint8Array;
  /** The application begins behind the bootloader. */
  readonly applicationAddress: number;
  runsApplication: boolean;
}

export function samChip(): SamChip {
  return {
    flash: new Uint8Array(FLASH_BYTES).fill(0xff),
    ram: new Uint8Array(RAM_BYTES),
    applicationAddress: 0x2000,
    runsApplication: false,
  };
}

export async function serveSamBa(port: Port, chip: SamChip): Promise<never> {
  const link = openLink(port);
  let isBinary = false;
  let source = 0;
  let text = '';
  const end = () => link.write(Buffer.from('\n\r'));
  const say = (line: string) => link.write(Buffer.from(`${line}\n\r`));
  for (;;) {
    const byte = (await link.byte(Number.POSITIVE_INFINITY))!;
    if (byte !== 0x23) {
      text = (text + String.fromCharCode(byte)).slice(-64);
      continue;
    }
    const [, command, first = '', second = ''] =
      /^.*?([A-Za-z])([0-9A-Fa-f]*),?([0-9A-Fa-f]*)$/s.exec(text) ?? [];
    text = '';
    const address = Number.parseInt(first || '0', 16);
    const value = Number.parseInt(second || '0', 16);
    switch (command) {
      case 'N':
        isBinary = true;
        await end();
        break;
      case 'T':
        isBinary = false;
        await end();
        break;
      case 'V':
        await say('v2.0 [Arduino:XYZ] Apr 19 2019 14:38:48');
        break;
      case 'w':
        await link.write(wordAt(chip, address));
        break;
      case 'W':
        if (address === AIRCR) chip.runsApplication = isProgrammed(chip);
        break;
      case 'S':
        await receive(link, chip, address, value);
        break;
      case 'R':
        await link.write(memoryAt(chip, address, value) ?? new Uint8Array(value));
        break;
      case 'X':
        eraseFrom(chip, address);
        await link.port.wait(100);
        await say('X');
        break;
      case 'Y':
        if (value === 0) source = address;
        else program(chip, source, address, value);
        await say('Y');
        break;
      case 'Z': {
        const crc = crc16Xmodem(memoryAt(chip, address, value) ?? new Uint8Array(0));
        await say(`Z${crc.toString(16).toUpperCase().padStart(8, '0')}#`);
        break;
      }
      default: // an unknown command is passed over in silence
    }
    if (!isBinary) await link.write(Buffer.from('>'));
  }
}

function isProgrammed({ flash, applicationAddress }: SamChip): boolean {
  return flash.subarray(applicationAddress, applicationAddress + 4).some((byte) => byte !== 0xff);
}

function memoryAt(chip: SamChip, address: number, count: number): Uint8Array | null {
  if (address + count <= chip.flash.length) return chip.flash.slice(address, address + count);
  const offset = address - RAM;
  if (offset >= 0 && offset + count <= chip.ram.length)
    return chip.ram.slice(offset, offset + count);
  return null;
}

function wordAt(chip: SamChip, address: number): Uint8Array {
  const memory = memoryAt(chip, address, 4);
  if (memory !== null) return memory;
  const word = Buffer.alloc(4);
  word.writeUInt32LE(registers[address] ?? 0);
  return word;
}

async function receive(link: Link, chip: SamChip, address: number, count: number): Promise<void> {
  for (let index = 0; index < count; index++) {
    const byte = (await link.byte(Number.POSITIVE_INFINITY))!;
    const offset = address + index - RAM;
    if (offset >= 0 && offset < chip.ram.length) chip.ram[offset] = byte;
  }
}

function eraseFrom({ flash, applicationAddress }: SamChip, address: number): void {
  const start = Math.max(applicationAddress, address - (address % PAGE_BYTES));
  flash.fill(0xff, start);
}

function program(chip: SamChip, source: number, address: number, count: number): void {
  const bytes = memoryAt(chip, source, count);
  if (bytes === null || address < chip.applicationAddress) return;
  if (address + count > chip.flash.length) return;
  for (const [index, byte] of bytes.entries()) chip.flash[address + index]! &= byte;
}
