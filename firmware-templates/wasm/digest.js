/**
 * A checksum of a module's bytes: four lanes of 32-bit words, each step a bijection, so that no
 * single changed word stays unnoticed. Against accidents, not against attackers.
 *
 * @param {Uint8Array} bytes
 * @returns {string}
 */
export function digestOf(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const whole = bytes.length & ~15;
  let a = 1;
  let b = 2;
  let c = 3;
  let d = bytes.length;
  for (let i = 0; i < whole; i += 16) {
    a = Math.imul(a ^ view.getInt32(i, true), 0x01000193);
    b = Math.imul(b ^ view.getInt32(i + 4, true), 0x01000193);
    c = Math.imul(c ^ view.getInt32(i + 8, true), 0x01000193);
    d = Math.imul(d ^ view.getInt32(i + 12, true), 0x01000193);
  }
  for (let i = whole; i < bytes.length; i++) a = Math.imul(a ^ view.getUint8(i), 0x01000193);
  return [a, b, c, d].map((lane) => (lane >>> 0).toString(16).padStart(8, '0')).join('');
}
