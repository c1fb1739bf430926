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
  /** The address of a copy that nothing shares, for what the module writes. */
  placeOwn(data: ArrayBufferView, part: ConstantPart): number;
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
  const pieceOf = (data: ArrayBufferView): Uint8Array => {
    const piece = new Uint8Array(roundUp(data.byteLength, imageAlignment));
    piece.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
    return piece;
  };
  const append = (piece: Uint8Array, part: ConstantPart): number => {
    const address = imageOrigin + length;
    pieces.push(piece);
    length += piece.length;
    sizes[part] += piece.length;
    return address;
  };
  return {
    place(data, part) {
      const piece = pieceOf(data);
      const hash = sha256Of(piece);
      const known = addresses.get(hash);
      if (known !== undefined) return known;
      const address = append(piece, part);
      addresses.set(hash, address);
      return address;
    },
    placeOwn: (data, part) => append(pieceOf(data), part),
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
