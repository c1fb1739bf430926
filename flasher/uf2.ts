/**
 * UF2, the form that drag-and-drop bootloaders take (github.com/microsoft/uf2): blocks of 512 bytes
 * with 256 bytes of content and their address each.
 */
import type { Image, Segment } from './image.ts';

const BLOCK_BYTES = 512;
const PAYLOAD_BYTES = 256;
const DATA_OFFSET = 32;
const MAX_PAYLOAD_BYTES = 476;
const MAGIC_START_0 = 0x0a324655;
const MAGIC_START_1 = 0x9e5d5157;
const MAGIC_END = 0x0ab16f30;
const NOT_MAIN_FLASH = 0x00000001;
const FAMILY_ID_PRESENT = 0x00002000;

export function isUf2(bytes: Uint8Array): boolean {
  return bytes.length >= 8 && viewOf(bytes).getUint32(0, true) === MAGIC_START_0;
}

/** `familyId`: the chip family's number, which a bootloader compares with its own. */
export function formatUf2({ segments }: Image, familyId: number): Uint8Array {
  const pieces = segments.flatMap(({ address, bytes }) => {
    const count = Math.ceil(bytes.length / PAYLOAD_BYTES);
    return Array.from({ length: count }, (_, index) => {
      const start = index * PAYLOAD_BYTES;
      return { address: address + start, bytes: bytes.subarray(start, start + PAYLOAD_BYTES) };
    });
  });
  const result = new Uint8Array(pieces.length * BLOCK_BYTES);
  for (const [index, { address, bytes }] of pieces.entries()) {
    const block = viewOf(result.subarray(index * BLOCK_BYTES, (index + 1) * BLOCK_BYTES));
    const words = [MAGIC_START_0, MAGIC_START_1, FAMILY_ID_PRESENT, address];
    words.push(bytes.length, index, pieces.length, familyId);
    for (const [word, value] of words.entries()) block.setUint32(word * 4, value, true);
    result.set(bytes, index * BLOCK_BYTES + DATA_OFFSET);
    block.setUint32(BLOCK_BYTES - 4, MAGIC_END, true);
  }
  return result;
}

export function parseUf2(bytes: Uint8Array, bad: (reason: string) => Error): readonly Segment[] {
  if (bytes.length % BLOCK_BYTES !== 0)
    throw bad('its size is no multiple of 512: it is cut short');
  const count = bytes.length / BLOCK_BYTES;
  return Array.from({ length: count }, (_, index) => index * BLOCK_BYTES).flatMap(
    (start, index) => {
      const block = viewOf(bytes.subarray(start, start + BLOCK_BYTES));
      const word = (offset: number) => block.getUint32(offset, true);
      const isBlock =
        word(0) === MAGIC_START_0 && word(4) === MAGIC_START_1 && word(508) === MAGIC_END;
      if (!isBlock || word(16) > MAX_PAYLOAD_BYTES) throw bad(`block ${index} is no UF2 block`);
      if (word(20) !== index || word(24) !== count) throw bad(`block ${index} is out of order`);
      if (word(8) & NOT_MAIN_FLASH) return [];
      const data = start + DATA_OFFSET;
      return [{ address: word(12), bytes: bytes.slice(data, data + word(16)) }];
    },
  );
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}
