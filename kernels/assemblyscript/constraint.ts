// SPDX-License-Identifier: Apache-2.0
/** What a generated text may be: the twin of kernels/c/constraint.c; toolchain/generate/constrained.ts says what it means. */
import { lm_choose_token, Sampler, setRandomState } from './sampler';

/** The tables of kernels/c/constraint.h, and memory of its own (toolchain/emit/wasm-generation.ts writes it). */
@unmanaged
export class Constraint {
  /** (listed) uint16; 0: all of the vocabulary. */
  tokens: usize;
  /** (listed, classBytes) */
  classes: usize;
  /** (states) uint16 */
  rows: usize;
  /** (rows + 1) uint16 */
  rowStarts: usize;
  /** (edges, classBytes) */
  edgeClasses: usize;
  /** (edges) uint16 */
  edgeSteps: usize;
  /** (states) uint16 */
  distances: usize;
  listed: i32;
  classCount: i32;
  firstSingle: i32;
  classBytes: i32;
  hasEnd: i32;
  /** (classCount) bytes of scratch. */
  allowed: usize;
  /** A sampler of the permitted logits: its count is scratch. */
  sampler: Sampler;
}

/** No token is permitted. */
const NO_TOKEN: i32 = -1;
const END_CLASS: i32 = 1;

/** Behind the last choice. */
let state: i32 = 0;

/** What the next call may be given to go on with the same text. */
export function placeOfText(): i32 {
  return state;
}

// @ts-ignore: decorator
@inline
function readClass(p: Constraint, classes: usize, index: i32): i32 {
  return p.classBytes === 1
    ? <i32>load<u8>(classes + <usize>index)
    : <i32>load<u16>(classes + 2 * <usize>index);
}

// @ts-ignore: decorator
@inline
function halfword(array: usize, index: i32): i32 {
  return <i32>load<u16>(array + 2 * <usize>index);
}

function firstEdge(p: Constraint, at: i32): i32 {
  return halfword(p.rowStarts, halfword(p.rows, at));
}

function endOfEdges(p: Constraint, at: i32): i32 {
  return halfword(p.rowStarts, halfword(p.rows, at) + 1);
}

function stateBehind(p: Constraint, at: i32, edge: i32): i32 {
  return (at + halfword(p.edgeSteps, edge)) & 0xffff;
}

/** `logits`: (vocabulary) int16, overwritten; `mostTokens` may follow; `at`: 0 or `placeOfText`. */
export function lm_choose_permitted(
  p: Constraint, logits: usize, mostTokens: i32, at: i32,
  temperature: u32, topK: i32, topP: u32, random: u32,
): i32 {
  state = at;
  setRandomState(random);
  allowClasses(p, mostTokens);
  const sampler = p.sampler;
  sampler.count = 0;
  let index = 0;
  for (let i = 0; i < p.listed; i++) {
    if (!isAllowed(p, i)) continue;
    const logit = load<i16>(logits + 2 * <usize>tokenOf(p, i));
    store<i16>(logits + 2 * <usize>sampler.count, logit);
    sampler.count++;
    index = i;
  }
  if (sampler.count === 0) return NO_TOKEN;
  if (sampler.count > 1) {
    index = nthAllowed(p, lm_choose_token(sampler, logits, temperature, topK, topP, random));
  }
  state = nextState(p, readClass(p, p.classes, index));
  return tokenOf(p, index);
}

function allowClasses(p: Constraint, mostTokens: i32): void {
  memory.fill(p.allowed, 0, <usize>p.classCount);
  const distance = halfword(p.distances, state);
  const most = max(mostTokens, distance) - 1, end = endOfEdges(p, state);
  for (let edge = firstEdge(p, state); edge < end; edge++) {
    if (halfword(p.distances, stateBehind(p, state, edge)) > most) continue;
    store<u8>(p.allowed + <usize>readClass(p, p.edgeClasses, edge), 1);
  }
  if (p.hasEnd !== 0 && distance === 0) store<u8>(p.allowed + <usize>END_CLASS, 1);
}

// @ts-ignore: decorator
@inline
function isAllowed(p: Constraint, index: i32): bool {
  return load<u8>(p.allowed + <usize>readClass(p, p.classes, index)) !== 0;
}

function tokenOf(p: Constraint, index: i32): i32 {
  return p.tokens === 0 ? index : halfword(p.tokens, index);
}

/** The permitted token before which there are so many. */
function nthAllowed(p: Constraint, before: i32): i32 {
  let index = -1;
  for (let left = before; left >= 0; left -= i32(isAllowed(p, index))) index++;
  return index;
}

function nextState(p: Constraint, label: i32): i32 {
  const end = endOfEdges(p, state);
  for (let edge = firstEdge(p, state); edge < end; edge++) {
    if (readClass(p, p.edgeClasses, edge) === label) return stateBehind(p, state, edge);
  }
  return state; // the end
}

/** Whether one token is permitted, so that no logits are read. */
export function lm_is_forced(p: Constraint, at: i32): bool {
  const first = firstEdge(p, at);
  return (
    endOfEdges(p, at) - first === 1 &&
    halfword(p.distances, at) > 0 &&
    readClass(p, p.edgeClasses, first) >= p.firstSingle
  );
}

/** Whether nothing can follow. */
export function lm_is_over(p: Constraint, at: i32): bool {
  return firstEdge(p, at) === endOfEdges(p, at);
}

/** Whether the text is one that is permitted. */
export function lm_is_complete(p: Constraint, at: i32): bool {
  return halfword(p.distances, at) === 0;
}
