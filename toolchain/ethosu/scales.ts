/**
 * Bias and scale of each output channel, ten bytes a record: bias 40 bits, scale 32 bits, shift 6
 * bits, all little-endian, the stream padded to 16 bytes.
 *
 * `value = ((sum + bias) · scale) >> shift`, rounded as the op says.
 */
import { userError } from '../errors.ts';
import type { Requant } from '../ops/fixed-point.ts';
import { streamAlignment } from './weight-format.ts';

export interface ChannelScale {
  /** −2^39 … 2^39 − 1. */
  readonly bias: number;
  /** Below 2^32. */
  readonly scale: number;
  /** 0 … 63. */
  readonly shift: number;
}

export const scaleRecordBytes = 10;

export function scaleStreamBytes(channels: number): number {
  return Math.ceil((channels * scaleRecordBytes) / streamAlignment) * streamAlignment;
}

export function writeScales(channels: readonly ChannelScale[]): Uint8Array {
  const bytes = new Uint8Array(scaleStreamBytes(channels.length));
  const view = new DataView(bytes.buffer);
  channels.forEach(({ bias, scale, shift }, channel) => {
    const at = channel * scaleRecordBytes;
    view.setUint32(at, bias >>> 0, true);
    view.setUint8(at + 4, Math.floor(bias / 2 ** 32) & 0xff);
    view.setUint32(at + 5, scale, true);
    view.setUint8(at + 9, shift);
  });
  return bytes;
}

export function readScales(bytes: Uint8Array, count: number, where: string): ChannelScale[] {
  if (bytes.length < count * scaleRecordBytes) {
    throw userError({
      code: 'bad-scale-stream',
      message: `the scale stream has no record of channel ${Math.floor(bytes.length / scaleRecordBytes)}`,
      where: `${where}, byte ${bytes.length}`,
      neededBytes: count * scaleRecordBytes,
      availableBytes: bytes.length,
      hint: 'SCALE_LENGTH covers ten bytes for every output channel.',
    });
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  return Array.from({ length: count }, (_, channel) => {
    const at = channel * scaleRecordBytes;
    return {
      bias: view.getInt8(at + 4) * 2 ** 32 + view.getUint32(at, true),
      scale: view.getUint32(at + 5, true),
      shift: view.getUint8(at + 9) & 0x3f,
    };
  });
}

/** TFLite's multiplier and shift as the hardware has them: rounding "tfl" then gives its bits. */
export function scaleOf({ multiplier, shift }: Requant): Pick<ChannelScale, 'scale' | 'shift'> {
  return { scale: multiplier, shift: 31 - shift };
}
