// SPDX-License-Identifier: Apache-2.0
/** Texts as UTF-8 and what tokenizers say beside the ids, the twin of kernels/c/text.h and utf8.h. */

const REPLACEMENT: i32 = 0xfffd;

let segmentStart: i32 = 0;
let isTruncated: bool = false;

/** Of the last texts. */
export function setSegments(start: i32, truncated: bool): void {
  segmentStart = start;
  isTruncated = truncated;
}

export function segmentStartOfTokens(): i32 {
  return segmentStart;
}

export function tokensAreTruncated(): i32 {
  return <i32>isTruncated;
}

export function isSame(a: usize, b: usize, bytes: i32): bool {
  for (let i = 0; i < bytes; i++) {
    if (load<u8>(a + <usize>i) !== load<u8>(b + <usize>i)) return false;
  }
  return true;
}

/** Behind the character that was decoded last. */
export let decodedEnd: usize = 0;

/** WHATWG's UTF-8 decoder: https://encoding.spec.whatwg.org/#utf-8-decoder */
export function decodeUtf8(at: usize, end: usize): i32 {
  const lead = <i32>load<u8>(at++);
  decodedEnd = at;
  if (lead < 0x80) return lead;
  if (lead < 0xc2 || lead > 0xf4) return REPLACEMENT;
  const following = lead < 0xe0 ? 1 : lead < 0xf0 ? 2 : 3;
  // The second byte is restricted: no overlong forms, no surrogates, nothing past U+10FFFF.
  let lower = lead === 0xe0 ? 0xa0 : lead === 0xf0 ? 0x90 : 0x80;
  let upper = lead === 0xed ? 0x9f : lead === 0xf4 ? 0x8f : 0xbf;
  let codePoint = lead & (0x3f >> following);
  for (let i = 0; i < following; i++) {
    if (at === end) return REPLACEMENT;
    const byte = <i32>load<u8>(at);
    if (byte < lower || byte > upper) return REPLACEMENT;
    codePoint = (codePoint << 6) | (byte & 0x3f);
    lower = 0x80;
    upper = 0xbf;
    decodedEnd = ++at;
  }
  return codePoint;
}

/** UTF-8, at most 4 bytes at `to`; returns how many. */
export function encodeUtf8(codePoint: i32, to: usize): i32 {
  if (codePoint < 0x80) {
    store<u8>(to, <u8>codePoint);
    return 1;
  }
  const following = codePoint < 0x800 ? 1 : codePoint < 0x10000 ? 2 : 3;
  for (let i = following; i > 0; i--) {
    store<u8>(to + <usize>i, <u8>(0x80 | (codePoint & 0x3f)));
    codePoint >>= 6;
  }
  const lead: i32 = 0xf0 << (3 - following);
  store<u8>(to, <u8>(lead | codePoint));
  return following + 1;
}
