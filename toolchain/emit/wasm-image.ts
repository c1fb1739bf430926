/**
 * The constants of a module as they lie in its memory, from `imageOrigin` on: bytes get addresses in
 * the order in which they are placed.
 */
import { roundUp } from '../integers.ts';
import type { ConstantPart } from '../schedule/placement.ts';
import { sha256Of } from '../sha256.ts';

/** Address 0 stays free, for it means nothing. */
export const imageOrigin = 1024;

export const imageAlignment = 16;

export interface ConstantImage {
  /** The address of a copy, the same one for what is the same. `part`: what it counts as. */
  place(data: ArrayBufferView, part: ConstantPart): number;
  bytes(): Uint8Array;
  /** Padding counts as part of what it follows. */
  sizes(): Readonly<Record<ConstantPart, number>>;
}

export function newImage(): ConstantImage {
  const pieces: Uint8Array[] = [];
  const sizes = { encoder: 0, tokenizer: 0, constraint: 0, embedding: 0 };
  /** By their hash. */
  const addresses = new Map<string, number>();
  let length = 0;
  return {
    place(data, part) {
      const padded = roundUp(data.byteLength, imageAlignment);
      const piece = new Uint8Array(padded);
      piece.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
      const hash = sha256Of(piece);
      const known = addresses.get(hash);
      if (known !== undefined) return known;
      const address = imageOrigin + length;
      addresses.set(hash, address);
      pieces.push(piece);
      length += padded;
      sizes[part] += padded;
      return address;
    },
    bytes() {
      const all = new Uint8Array(length);
      let at = 0;
      for (const piece of pieces) {
        all.set(piece, at);
        at += piece.length;
      }
      return all;
    },
    sizes: () => ({ ...sizes }),
  };
}
