// SPDX-License-Identifier: Apache-2.0
/** Texts with the tokens around them, the twin of kernels/c/frame.h. */
import { setSegments } from './text';

/** Where the tokens of one text go; those beyond the capacity are only counted. */
let listIds: usize = 0;
let listCapacity: i32 = 0;
export let listCount: i32 = 0;

export function emit(token: i32): void {
  if (listCount < listCapacity) store<u16>(listIds + 2 * <usize>listCount, <u16>token);
  listCount++;
}

/** Takes back what was given away since there were so many. */
export function rewind(count: i32): void {
  listCount = count;
}

/** Whether no more tokens need to be found. */
export function isListFull(countAll: bool): bool {
  return !countAll && listCount > listCapacity;
}

function countTokens<T>(
  t: T, text: usize, bytes: i32, ids: usize, capacity: i32, countAll: bool,
): i32 {
  listIds = ids;
  listCapacity = capacity;
  listCount = 0;
  t.tokenizeText(text, bytes, countAll);
  return listCount;
}

/**
 * Writes text, or text and pair, with the tokens around them; returns how many ids, 0: no room.
 * T: a tokenizer, whose `tokenizeText` gives away the tokens of a text; without `countAll` it may stop
 * past the capacity.
 */
export function tokenizeFramed<T>(
  t: T, text: usize, textBytes: i32, hasPair: i32, pair: usize, pairBytes: i32,
  ids: usize, maxTokens: i32,
): i32 {
  const between = hasPair !== 0 ? t.between : 0;
  const room = maxTokens - t.before - between - t.after;
  setSegments(0, true);
  if (room < 0) return 0;
  const textIds = ids + 2 * <usize>t.before;
  let first = countTokens<T>(t, text, textBytes, textIds, room, hasPair !== 0);
  const written = min(first, room);
  let second = 0;
  if (hasPair !== 0) {
    const pairIds = textIds + 2 * <usize>(written + between);
    second = countTokens<T>(t, pair, pairBytes, pairIds, room - written, true);
  }
  const isTruncated = first > room - second;
  if (isTruncated && hasPair !== 0) {
    // The longer gives way until both are equally long; they share the rest, the odd one to it.
    const shorter = min(min(first, second), room >> 1);
    first = first > second ? room - shorter : shorter;
    second = room - first;
    // Where the first gave way, the pair moves down and has more room: it is read again.
    if (first !== written) {
      const pairIds = textIds + 2 * <usize>(first + between);
      countTokens<T>(t, pair, pairBytes, pairIds, second, false);
    }
  }
  first = min(first, room);
  const texts = first + between + second;
  memory.copy(ids, t.frame, 2 * <usize>t.before);
  memory.copy(textIds + 2 * <usize>first, t.frame + 2 * <usize>t.before, 2 * <usize>between);
  memory.copy(
    textIds + 2 * <usize>texts, t.frame + 2 * <usize>(t.before + t.between),
    2 * <usize>t.after,
  );
  const tokens = t.before + texts + t.after;
  const isSplit = hasPair !== 0 && t.segmentBreak >= 0;
  setSegments(isSplit ? t.before + first + t.segmentBreak : tokens, isTruncated);
  return tokens;
}
