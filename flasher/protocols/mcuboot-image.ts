/** The header and the hash of an image as MCUboot takes it (docs.mcuboot.com, design). */
import { createHash } from 'node:crypto';
import { userError } from '../../toolchain/errors.ts';

const IMAGE_MAGIC = 0x96f3b83d;
const TLV_INFO_MAGIC = 0x6907;
const PROTECTED_TLV_INFO_MAGIC = 0x6908;
const TLV_SHA256 = 0x10;

/** By which MCUboot names the image; checked against the content. */
export function mcubootHash(image: Uint8Array): Uint8Array {
  const bytes = Buffer.from(image);
  if (bytes.length < 32 || bytes.readUInt32LE(0) !== IMAGE_MAGIC) {
    throw notMcuboot('it has no MCUboot header');
  }
  const headerBytes = bytes.readUInt16LE(8);
  const protectedBytes = bytes.readUInt16LE(10);
  const hashed = headerBytes + bytes.readUInt32LE(12) + protectedBytes;
  if (hashed + 4 > bytes.length) throw notMcuboot('it is cut short');
  if (protectedBytes > 0) {
    const magic = bytes.readUInt16LE(hashed - protectedBytes);
    if (magic !== PROTECTED_TLV_INFO_MAGIC) throw notMcuboot('its protected trailer is damaged');
  }
  const stored = findHash(bytes, hashed);
  const computed = createHash('sha256').update(bytes.subarray(0, hashed)).digest();
  if (stored === null) throw notMcuboot('it has no SHA-256');
  if (Buffer.compare(stored, computed) !== 0)
    throw notMcuboot('its SHA-256 is not that of its content');
  return computed;
}

function findHash(bytes: Buffer, start: number): Buffer | null {
  if (bytes.readUInt16LE(start) !== TLV_INFO_MAGIC) return null;
  const end = Math.min(start + bytes.readUInt16LE(start + 2), bytes.length);
  for (let at = start + 4; at + 4 <= end; ) {
    const length = bytes.readUInt16LE(at + 2);
    if (bytes.readUInt16LE(at) === TLV_SHA256) return bytes.subarray(at + 4, at + 4 + length);
    at += 4 + length;
  }
  return null;
}

function notMcuboot(reason: string): Error {
  return userError({
    code: 'not-mcuboot',
    message: `the image cannot go through MCUboot: ${reason}`,
    hint: 'Sign it first: imgtool sign --key … --header-size … firmware.bin firmware.signed.bin',
  });
}
