// SPDX-License-Identifier: Apache-2.0
/** A trie of byte strings (toolchain/tokenizer/trie.ts), the twin of kernels/c/trie.h; and a string's text. */
import { isSame } from './text';

/** toolchain/tokenizer/trie.ts: shapeBits, streamCodes. */
const SHAPE_TOKEN: i32 = 1;
const SHAPE_CHILD: i32 = 2;
const SHAPE_SIBLING: i32 = 4;
const SHAPE_SHIFT: i32 = 12;
const LABEL_MASK: i32 = 0xfff;
const CODE_LITERAL: i32 = 0;
const CODE_SKIP: i32 = 1;

/** What the stream's codes stand for, and what `readNode` and `readVarint` found. */
let codes: usize = 0;
let labels: usize = 0;
let nodeLabel: usize = 0;
let nodeLabelBytes: i32 = 0;
let nodeShape: i32 = 0;
let varint: i32 = 0;

/** The next node of a walk, 0 at its end, and the number of the next string in the stream. */
let walkStream: usize = 0;
let nextToken: i32 = 0;
let matched: i32 = 0;

/** The number of the string that `nextPrefix` found. */
export let prefixToken: i32 = 0;

/** Begins a walk along the strings that are beginnings of one text, the shortest first. */
export function startWalk(stream: usize, itsCodes: usize, itsLabels: usize, first: i32): void {
  walkStream = stream;
  codes = itsCodes;
  labels = itsLabels;
  nextToken = first;
  matched = 0;
}

/** The bytes of the next string that `bytes` begin with; 0: there is none. */
export function nextPrefix(bytes: usize, length: i32): i32 {
  while (walkStream !== 0) {
    let subtreeEnd: usize = 0;
    let subtreeTokens = 0;
    if (<i32>load<u8>(walkStream) === CODE_SKIP) {
      walkStream = readVarint(walkStream + 1);
      const subtreeBytes = varint;
      walkStream = readVarint(walkStream);
      subtreeTokens = varint;
      subtreeEnd = walkStream + <usize>subtreeBytes;
    }
    walkStream = readNode(walkStream);
    const rest = bytes + <usize>matched;
    if (nodeLabelBytes <= length - matched && isSame(nodeLabel, rest, nodeLabelBytes)) {
      matched += nodeLabelBytes;
      if ((nodeShape & SHAPE_CHILD) === 0 || matched === length) walkStream = 0;
      if ((nodeShape & SHAPE_TOKEN) !== 0) {
        prefixToken = nextToken++;
        return matched;
      }
    } else if ((nodeShape & SHAPE_SIBLING) === 0) {
      walkStream = 0;
    } else if (subtreeEnd !== 0) {
      walkStream = subtreeEnd;
      nextToken += subtreeTokens;
    } else {
      nextToken += nodeShape & SHAPE_TOKEN;
      if ((nodeShape & SHAPE_CHILD) !== 0) walkStream = passChildren(walkStream);
    }
  }
  return 0;
}

function readNode(stream: usize): usize {
  const code = <i32>load<u8>(stream++);
  if (code === CODE_LITERAL) {
    nodeLabel = stream + 1;
    nodeLabelBytes = 1;
    nodeShape = <i32>load<u8>(stream);
    return stream + 2;
  }
  const entry = <i32>load<u16>(codes + 2 * <usize>code);
  const label = entry & LABEL_MASK;
  nodeLabel = labels + <usize>label;
  nodeLabelBytes = (<i32>load<u16>(codes + 2 * <usize>(code + 1)) & LABEL_MASK) - label;
  nodeShape = entry >> SHAPE_SHIFT;
  return stream;
}

function readVarint(stream: usize): usize {
  let byte = <i32>load<u8>(stream++);
  varint = byte & 0x7f;
  for (let shift = 7; byte >= 0x80; shift += 7) {
    byte = <i32>load<u8>(stream++);
    varint |= (byte & 0x7f) << shift;
  }
  return stream;
}

/** To the end of a list and all below it, counting the tokens passed. */
function passChildren(stream: usize): usize {
  for (let openLists = 1; openLists > 0; ) {
    const code = <i32>load<u8>(stream++);
    if (code === CODE_SKIP) { // only before nodes with a sibling: the list stays open
      stream = readVarint(stream);
      const subtreeBytes = varint;
      stream = readVarint(stream) + <usize>subtreeBytes;
      nextToken += varint;
      continue;
    }
    let shape = <i32>load<u16>(codes + 2 * <usize>code) >> SHAPE_SHIFT;
    if (code === CODE_LITERAL) {
      shape = <i32>load<u8>(stream);
      stream += 2;
    }
    nextToken += shape & SHAPE_TOKEN;
    if ((shape & SHAPE_CHILD) !== 0) openLists++;
    if ((shape & SHAPE_SIBLING) === 0) openLists--;
  }
  return stream;
}

/** Lists of siblings that are open at once. */
const MAX_DEPTH: i32 = 256;
export const STACK_BYTES: i32 = 2 * MAX_DEPTH;

/**
 * Writes the string of a number as text at `to`, after `startWalk`; returns its bytes, 0: there is
 * none. `stack` has room for where the text of every open list begins: STACK_BYTES.
 */
export function spell(id: i32, stack: usize, to: usize): i32 {
  let stream = walkStream;
  let start = 0;
  let depth = 0;
  while (true) {
    if (<i32>load<u8>(stream) === CODE_SKIP) {
      stream = readVarint(stream + 1);
      const subtreeBytes = varint;
      stream = readVarint(stream);
      if (id >= nextToken + varint) {
        stream += <usize>subtreeBytes;
        nextToken += varint;
        continue; // only before nodes with a sibling
      }
    }
    stream = readNode(stream);
    memory.copy(to + <usize>start, nodeLabel, <usize>nodeLabelBytes);
    const length = start + nodeLabelBytes;
    if ((nodeShape & SHAPE_TOKEN) !== 0 && nextToken++ === id) return length;
    const hasSibling = (nodeShape & SHAPE_SIBLING) !== 0;
    if ((nodeShape & SHAPE_CHILD) !== 0) {
      // Where no sibling follows, the list is closed: its parent's is gone back to.
      if (hasSibling) {
        if (depth === MAX_DEPTH) return 0;
        store<u16>(stack + <usize>(2 * depth), <u16>start);
        depth++;
      }
      start = length;
    } else if (!hasSibling) {
      if (depth === 0) return 0;
      depth--;
      start = <i32>load<u16>(stack + <usize>(2 * depth));
    }
  }
}
