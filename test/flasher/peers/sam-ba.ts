/**
 * The device's side of SAM-BA with Arduino's extensions, as bossac finds it on a SAMD21: over USB, or
 * over a UART with XMODEM, where it does what ArduinoCore-samd's sam_ba_serial.c does. That one waits for
 * each byte for ever, ends what it receives at the first damaged block, and sends a block again after
 * whatever is no ACK.
 */
import { crc16Xmodem } from '../../../flasher/checksums.ts';
import { concatenate } from '../../../flasher/image.ts';
import { type Link, openLink } from '../../../flasher/link.ts';
import type { Port } from '../../../flasher/port.ts';
import { ACK, BLOCK_BYTES, FRAME_BYTES, frameOf, NAK } from '../../../flasher/protocols/xmodem.ts';

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
  readonly over: 'usb' | 'uart';
}

export function samChip(over: SamChip['over'] = 'usb'): SamChip {
  return {
    flash: new Uint8Array(FLASH_BYTES).fill(0xff),
    ram: new Uint8Array(RAM_BYTES),
    applicationAddress: 0x2000,
    runsApplication: false,
    over,
  };
}

const FOREVER = Number.POSITIVE_INFINITY;

export async function serveSamBa(port: Port, chip: SamChip): Promise<never> {
  const link = openLink(port);
  let isBinary = false;
  let source = 0;
  let text = '';
  const end = () => link.write(Buffer.from('\n\r'));
  const { send, receive } = transfers[chip.over];
  const say = (line: string) => link.write(Buffer.from(`${line}\n\r`));
  for (;;) {
    const byte = (await link.byte(FOREVER))!;
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
        store(chip, address, await receive(link, value));
        break;
      case 'R':
        await send(link, memoryAt(chip, address, value) ?? beyondMemory(value));
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

/** A chip may fault there; this one sends zeros, not all four gigabytes. */
function beyondMemory(count: number): Uint8Array {
  return new Uint8Array(Math.min(count, 65_536));
}

function wordAt(chip: SamChip, address: number): Uint8Array {
  const memory = memoryAt(chip, address, 4);
  if (memory !== null) return memory;
  const word = Buffer.alloc(4);
  word.writeUInt32LE(registers[address] ?? 0);
  return word;
}

interface Transfers {
  send(link: Link, bytes: Uint8Array): Promise<void>;
  receive(link: Link, count: number): Promise<Uint8Array>;
}

const transfers: Readonly<Record<SamChip['over'], Transfers>> = {
  usb: {
    send: (link, bytes) => link.write(bytes),
    receive: async (link, count) => (await link.bytes(count, FOREVER))!,
  },
  uart: { send: sendBlocks, receive: receiveBlocks },
};

async function sendBlocks(link: Link, bytes: Uint8Array): Promise<void> {
  for (;;) {
    const start = await link.byte(FOREVER);
    if (start === 0x71) return; // q
    if (start === NAK || start === ASK_CRC) break;
  }
  for (let number = 1, offset = 0; offset < bytes.length; ) {
    await link.write(frameOf(number, bytes.subarray(offset, offset + BLOCK_BYTES)));
    if ((await link.byte(FOREVER)) !== ACK) continue;
    number += 1;
    offset += BLOCK_BYTES;
  }
  await link.write([EOT]);
  await link.byte(FOREVER);
}

async function receiveBlocks(link: Link, count: number): Promise<Uint8Array> {
  const received: Uint8Array[] = [];
  let first: number | null = null;
  for (let asks = 0; first === null && asks < 100; asks++) {
    await link.write([ASK_CRC]);
    first = await link.byte(ASK_MS);
  }
  for (let kind = first; kind !== null; kind = await link.byte(FOREVER)) {
    if (kind === EOT) await link.write([ACK]);
    if (kind !== SOH) break;
    const rest = (await link.bytes(FRAME_BYTES - 1, FOREVER))!;
    const data = rest.subarray(2, 2 + BLOCK_BYTES);
    const wanted = frameOf(received.length + 1, data).subarray(1);
    const isRight = Buffer.compare(rest, wanted) === 0;
    await link.write([isRight ? ACK : CAN]);
    if (!isRight) break;
    received.push(data.slice());
  }
  return concatenate(received).subarray(0, count);
}

const SOH = 0x01;
const EOT = 0x04;
const CAN = 0x18;
const ASK_CRC = 0x43;
const ASK_MS = 500;

function store({ ram }: SamChip, address: number, bytes: Uint8Array): void {
  for (const [index, byte] of bytes.entries()) {
    const offset = address + index - RAM;
    if (offset >= 0 && offset < ram.length) ram[offset] = byte;
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
