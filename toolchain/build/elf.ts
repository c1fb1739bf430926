/**
 * A reader for 32-bit little-endian ELF executables, as far as a firmware image needs it: what is
 * loaded where, and what is measured.
 *
 * Source: Tool Interface Standard, Executable and Linking Format 1.2, chapter 1.
 */
import { readFileSync } from 'node:fs';
import { internalError } from '../errors.ts';
import type { MemoryRegion } from '../targets.ts';

export interface ElfSection {
  readonly name: string;
  readonly address: number;
  readonly sizeBytes: number;
  /** Occupies memory when the program runs. */
  readonly allocated: boolean;
  readonly executable: boolean;
  readonly writable: boolean;
  /** Has bytes in the file; .bss and arenas have none. */
  readonly initialised: boolean;
}

/** Bytes that a loader writes; `address` is where they rest, which differs from where .data runs. */
export interface ElfSegment {
  readonly address: number;
  readonly runAddress: number;
  readonly bytes: Uint8Array;
}

export interface ElfSymbol {
  readonly name: string;
  readonly address: number;
  readonly sizeBytes: number;
}

export interface ElfImage {
  readonly entry: number;
  readonly sections: readonly ElfSection[];
  readonly segments: readonly ElfSegment[];
  readonly symbols: readonly ElfSymbol[];
}

const PT_LOAD = 1;
const SHT_SYMTAB = 2;
const SHT_NOBITS = 8;
const SHF_WRITE = 1;
const SHF_ALLOC = 2;
const SHF_EXECINSTR = 4;

export function readElf(bytes: Uint8Array): ElfImage {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const u16 = (offset: number) => view.getUint16(offset, true);
  const u32 = (offset: number) => view.getUint32(offset, true);
  const isElf32 = bytes.length > 52 && u32(0) === 0x464c457f && bytes[4] === 1 && bytes[5] === 1;
  if (!isElf32) throw internalError('not a 32-bit little-endian ELF file');

  const text = (offset: number) => {
    const end = bytes.indexOf(0, offset);
    return Buffer.from(bytes.buffer, bytes.byteOffset + offset, end - offset).toString('utf8');
  };
  const rows = (start: number, rowBytes: number, count: number) =>
    Array.from({ length: count }, (_, index) => start + index * rowBytes);

  const sectionRows = rows(u32(32), u16(46), u16(48)); // e_shoff, e_shentsize, e_shnum
  const offsetOf = (row: number) => u32(row + 16);
  const namesRow = sectionRows[u16(50)] ?? 0; // e_shstrndx
  const sections = sectionRows.slice(1).map((row) => ({
    name: text(offsetOf(namesRow) + u32(row)),
    address: u32(row + 12),
    sizeBytes: u32(row + 20),
    allocated: (u32(row + 8) & SHF_ALLOC) !== 0,
    executable: (u32(row + 8) & SHF_EXECINSTR) !== 0,
    writable: (u32(row + 8) & SHF_WRITE) !== 0,
    initialised: u32(row + 4) !== SHT_NOBITS,
  }));

  const segments = rows(u32(28), u16(42), u16(44)) // e_phoff, e_phentsize, e_phnum
    .filter((row) => u32(row) === PT_LOAD && u32(row + 16) > 0)
    .map((row) => ({
      address: u32(row + 12),
      runAddress: u32(row + 8),
      bytes: bytes.subarray(u32(row + 4), u32(row + 4) + u32(row + 16)),
    }));

  const symbols = sectionRows
    .filter((row) => u32(row + 4) === SHT_SYMTAB)
    .flatMap((table) => {
      const names = offsetOf(sectionRows[u32(table + 24)] ?? 0); // sh_link
      return rows(offsetOf(table), 16, u32(table + 20) / 16).map((row) => ({
        name: text(names + u32(row)),
        address: u32(row + 4),
        sizeBytes: u32(row + 8),
      }));
    });
  return { entry: u32(24), sections, segments, symbols };
}

export interface RegionUse {
  readonly name: string;
  readonly kind: MemoryRegion['kind'];
  readonly capacityBytes: number;
  /** Highest used byte, counting alignment gaps and initial values of RAM sections. */
  readonly usedBytes: number;
}

export interface ImageMeasure {
  readonly regions: readonly RegionUse[];
  /** Every allocated section by its name. */
  readonly sections: Readonly<Record<string, { region: string; sizeBytes: number }>>;
  /** Vectors and code. */
  readonly codeBytes: number;
  /** Read-only data that no one placed: .rodata and the copy table. */
  readonly constantBytes: number;
  /** RAM besides the arenas and the stack: .data and .bss. */
  readonly staticBytes: number;
  readonly stackBytes: number;
  readonly arenaBytes: number;
}

export function measureImage(elf: ElfImage, regions: readonly MemoryRegion[]): ImageMeasure {
  const allocated = elf.sections.filter(({ allocated, sizeBytes }) => allocated && sizeBytes > 0);
  const extents = [
    ...allocated.map(({ address, sizeBytes }) => ({ address, sizeBytes })),
    ...elf.segments.map(({ address, bytes }) => ({ address, sizeBytes: bytes.length })),
  ];
  const isIn = (region: MemoryRegion, address: number) =>
    address >= region.origin && address < region.origin + region.sizeBytes;
  const regionOf = (address: number) => {
    const region = regions.find((candidate) => isIn(candidate, address));
    if (region === undefined) throw internalError(`0x${address.toString(16)} is in no region`);
    return region;
  };
  const sizeOf = (matches: (section: ElfSection) => boolean) =>
    allocated.filter(matches).reduce((total, { sizeBytes }) => total + sizeBytes, 0);
  const isNamed =
    (...names: readonly string[]) =>
    ({ name }: ElfSection) =>
      names.includes(name);
  return {
    regions: regions.map((region) => ({
      name: region.name,
      kind: region.kind,
      capacityBytes: region.sizeBytes,
      usedBytes: extents
        .filter(({ address }) => isIn(region, address))
        .reduce(
          (end, { address, sizeBytes }) => Math.max(end, address + sizeBytes - region.origin),
          0,
        ),
    })),
    sections: Object.fromEntries(
      allocated.map(({ name, address, sizeBytes }) => [
        name,
        { region: regionOf(address).name, sizeBytes },
      ]),
    ),
    codeBytes: sizeOf(isNamed('.vectors', '.text')),
    constantBytes: sizeOf(isNamed('.rodata', '.copy_table')),
    staticBytes: sizeOf(isNamed('.data', '.bss')),
    stackBytes: sizeOf(isNamed('.stack')),
    arenaBytes: sizeOf(({ name }) => name.startsWith('.lm2mcu.arena')),
  };
}

export function readElfFile(path: string): ElfImage {
  return readElf(readFileSync(path));
}
