/**
 * An STM32 whose ROM writes RAM and internal flash, and a NOR that only the writer reaches: the ROM
 * starts what was loaded to RAM, and it is the writer when it is that, byte by byte.
 */
import type { Segment } from '../../../flasher/image.ts';
import type { FlashMemory } from './flash-memory.ts';
import { type Stm32Chip, stm32Chip } from './stm32-uart.ts';

export interface WriterChip {
  /** Whichever program serves the line. */
  running(): Stm32Chip;
  /** Into the ROM; RAM keeps what it has, as a button leaves it. */
  reset(): void;
  /** As a debug probe does. */
  startWriter(): void;
}

export function writerChip(
  flash: FlashMemory,
  nor: FlashMemory,
  program: Segment,
  options: Partial<Stm32Chip> & { readonly writerId: number },
): WriterChip {
  const ram = new Uint8Array(program.bytes.length + 1024);
  let state: 'rom' | 'writer' | 'crashed' = 'rom';
  const isLoaded = () => Buffer.compare(ram.subarray(0, program.bytes.length), program.bytes) === 0;
  const rom = stm32Chip(withRam(flash, ram, program.address), {
    ...options,
    ...{ hasChecksum: false, hasBootLine: false },
    onGo(address) {
      if (address !== program.address) rom.runsApplication = flash.isCommitted();
      else state = isLoaded() ? 'writer' : 'crashed';
    },
  });
  const reset = () => {
    state = 'rom';
    for (const chip of [rom, writer]) [chip.isSynchronised, chip.runsApplication] = [false, false];
  };
  const writer = stm32Chip(nor, {
    ...{ productId: options.writerId, hasBootLine: false },
    ...{ pauseMs: 1000, onGo: reset },
  });
  const crashed = stm32Chip(nor, { hasBootLine: false, runsApplication: true });
  const startWriter = () => {
    reset();
    state = 'writer';
  };
  return { running: () => ({ rom, writer, crashed })[state], reset, startWriter };
}

function withRam(flash: FlashMemory, ram: Uint8Array, origin: number): FlashMemory {
  const isRam = (address: number, count: number) =>
    address >= origin && address + count <= origin + ram.length;
  return {
    ...flash,
    has: (address, count) => isRam(address, count) || flash.has(address, count),
    read: (address, count) =>
      isRam(address, count)
        ? ram.slice(address - origin, address - origin + count)
        : flash.read(address, count),
    program(address, bytes) {
      if (isRam(address, bytes.length)) ram.set(bytes, address - origin);
      else flash.program(address, bytes);
    },
  };
}
