/**
 * The constants of a module as they lie in its memory, from `imageOrigin` on: bytes get addresses in
 * the order in which they are placed.
 */
import { roundUp } from '../integers.ts';
import type { ConstantPart } from '../schedule/placement.ts';

/** Address 0 stays free, for it means nothing. */
export const imageOrigin = 1024;

export const imageAlignment = 16;

export interface ConstantImage {
  /** The address of a copy. `part`: what it counts as. */
  place(data: ArrayBufferView, part: ConstantPart): number;
  bytes(): Uint8Array;
  /** Padding counts as part of what it follows. */
  sizes(): Readonly<Record<ConstantPart, number>>;
}

export function newImage(): ConstantImage {
  const pieces: Uint8Array[] = [];
  const sizes = { encoder: 0, tokenizer: 0, embedding: 0 };
  let length = 0;
  return {
    place(data, part) {
      const padded = roundUp(data.byteLength, imageAlignment);
      const piece = new Uint8Array(padded);
      piece.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
      pieces.push(piece);
      const address = imageOrigin + length;
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
