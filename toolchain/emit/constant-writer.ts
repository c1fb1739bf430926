/** Streams that an NPU reads as region 0, one after the other. */
import type { StreamRange } from '../ethosu/operations.ts';
import { roundUp } from '../integers.ts';

const alignment = 16;

/** Streams one after the other, each once. */
export class ConstantWriter {
  private readonly parts: Uint8Array[] = [];
  private readonly known = new Map<string, number>();
  private length = 0;

  /** Its byte. */
  add(part: Uint8Array): number {
    const key = Buffer.from(part.buffer, part.byteOffset, part.byteLength).toString('latin1');
    const earlier = this.known.get(key);
    if (earlier !== undefined) return earlier;
    const at = this.length;
    this.known.set(key, at);
    this.parts.push(part);
    this.length += roundUp(part.length, alignment);
    return at;
  }

  range(part: Uint8Array): StreamRange {
    return { region: 0, base: this.add(part), length: part.length };
  }

  bytes(): Uint8Array {
    const bytes = new Uint8Array(this.length);
    let at = 0;
    for (const part of this.parts) {
      bytes.set(part, at);
      at += roundUp(part.length, alignment);
    }
    return bytes;
  }
}
