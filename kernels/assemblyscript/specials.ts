// SPDX-License-Identifier: Apache-2.0
/** Special tokens written in a text, the twin of kernels/c/specials.h, and of runs.h. */
import { decodedEnd, decodeUtf8, isSame } from './text';

/** toolchain/tokenizer/added-tokens.ts: specialFlags. */
const STRIPS_LEFT: i32 = 1;
const STRIPS_RIGHT: i32 = 2;
export const IS_SPECIAL: i32 = 4;
const IS_LATE: i32 = 8;
export const SPECIAL_HEADER: usize = 4;

/** The special token that `findSpecial` found; where there is none, the end of the text. */
export let foundStart: usize = 0;
export let foundEnd: usize = 0;
export let foundToken: i32 = 0;

/** The first special token from there on; late ones are in what the others leave of the text. */
export function findSpecial(
  specials: usize, leadMin: i32, leadMax: i32, from: usize, end: usize,
): bool {
  foundStart = end;
  foundEnd = end;
  const isFound = findInPass(specials, leadMin, leadMax, from, end, 0);
  if (isDefined(NORMALIZES)) {
    return findInPass(specials, leadMin, leadMax, from, foundStart, IS_LATE) || isFound;
  }
  return isFound;
}

/** The first special token from there on, the longest where several begin. */
function findInPass(
  specials: usize, leadMin: i32, leadMax: i32, from: usize, end: usize, late: i32,
): bool {
  for (let start = from; start < end; start++) {
    const lead = <i32>load<u8>(start);
    if (lead < leadMin || lead > leadMax) continue;
    let special = specials; // the longest first
    for (let bytes = <i32>load<u8>(special); bytes !== 0; bytes = <i32>load<u8>(special)) {
      const flags = <i32>load<u8>(special, 1);
      let isLookedFor = <usize>bytes <= end - start;
      if (isDefined(NORMALIZES)) isLookedFor = isLookedFor && (flags & IS_LATE) === late;
      if (isLookedFor && isSame(start, special + SPECIAL_HEADER, bytes)) {
        foundToken = <i32>load<u8>(special, 2) | (<i32>load<u8>(special, 3) << 8);
        foundStart = (flags & STRIPS_LEFT) !== 0 ? spacesBefore(from, start) : start;
        foundEnd = start + <usize>bytes;
        while ((flags & STRIPS_RIGHT) !== 0 && foundEnd < end) {
          if (!isWhiteSpace(decodeUtf8(foundEnd, end))) break;
          foundEnd = decodedEnd;
        }
        return true;
      }
      special += <usize>bytes + SPECIAL_HEADER;
    }
  }
  return false;
}

/** Where the white space before `end` begins. */
function spacesBefore(from: usize, end: usize): usize {
  let start = from;
  for (let next = from; next < end; ) {
    const isSpace = isWhiteSpace(decodeUtf8(next, end));
    next = decodedEnd;
    if (!isSpace) start = next;
  }
  return start;
}

/** White_Space of Unicode 17.0. */
export function isWhiteSpace(codePoint: i32): bool {
  if (codePoint < 0x80) return codePoint === 0x20 || (codePoint >= 0x09 && codePoint <= 0x0d);
  return codePoint === 0x85 || codePoint === 0xa0 || codePoint === 0x1680 ||
    (codePoint >= 0x2000 && codePoint <= 0x200a) || codePoint === 0x2028 ||
    codePoint === 0x2029 || codePoint === 0x202f || codePoint === 0x205f || codePoint === 0x3000;
}

/** The last run of the plane that starts at or before the code point; each plane starts one. */
export function findRun(planes: usize, runStarts: usize, codePoint: i32): i32 {
  const lowBits = codePoint & 0xffff;
  const plane = planes + 2 * <usize>(codePoint >> 16);
  let run = <i32>load<u16>(plane);
  let end = <i32>load<u16>(plane, 2);
  while (end - run > 1) {
    const middle = (run + end) >> 1;
    if (<i32>load<u16>(runStarts + 2 * <usize>middle) <= lowBits) run = middle;
    else end = middle;
  }
  return run;
}
