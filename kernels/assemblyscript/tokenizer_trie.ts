// SPDX-License-Identifier: Apache-2.0
/** The trie of a vocabulary (toolchain/tokenizer/trie.ts): the longest token of a word, and a token's text. */
import { isSame } from './text';
import { Tokenizer } from './tokenizer';

/** toolchain/tokenizer/trie.ts: shapeBits, streamCodes. */
const SHAPE_TOKEN: i32 = 1;
const SHAPE_CHILD: i32 = 2;
const SHAPE_SIBLING: i32 = 4;
const SHAPE_SHIFT: i32 = 12;
const LABEL_MASK: i32 = 0xfff;
const CODE_LITERAL: i32 = 0;
const CODE_SKIP: i32 = 1;

/** What `longestToken`, `readNode`, `readVarint` and `passChildren` give beside their results. */
export let foundToken: i32 = 0;
let nodeLabel: usize = 0;
let nodeLabelBytes: i32 = 0;
let nodeShape: i32 = 0;
let varint: i32 = 0;
let nextToken: i32 = 0;

/** The size of the longest token that `bytes` begin with, 0 if there is none. One walk, forward. */
export function longestToken(t: Tokenizer, continues: bool, bytes: usize, length: i32): i32 {
  let stream = t.trie + (continues ? <usize>t.continuationOffset : 0);
  nextToken = continues ? t.continuationFirst : 0;
  let matched = 0;
  let longest = 0;
  foundToken = 0;
  while (true) {
    let subtreeEnd: usize = 0;
    let subtreeTokens = 0;
    if (<i32>load<u8>(stream) === CODE_SKIP) {
      stream = readVarint(stream + 1);
      const subtreeBytes = varint;
      stream = readVarint(stream);
      subtreeTokens = varint;
      subtreeEnd = stream + <usize>subtreeBytes;
    }
    stream = readNode(t, stream);
    if (nodeLabelBytes <= length - matched && isSame(nodeLabel, bytes + <usize>matched, nodeLabelBytes)) {
      matched += nodeLabelBytes;
      if ((nodeShape & SHAPE_TOKEN) !== 0) {
        longest = matched;
        foundToken = nextToken++;
      }
      if ((nodeShape & SHAPE_CHILD) === 0 || matched === length) return longest;
    } else if ((nodeShape & SHAPE_SIBLING) === 0) {
      return longest;
    } else if (subtreeEnd !== 0) {
      stream = subtreeEnd;
      nextToken += subtreeTokens;
    } else {
      nextToken += nodeShape & SHAPE_TOKEN;
      if ((nodeShape & SHAPE_CHILD) !== 0) stream = passChildren(t, stream);
    }
  }
}

function readNode(t: Tokenizer, stream: usize): usize {
  const code = <i32>load<u8>(stream++);
  if (code === CODE_LITERAL) {
    nodeLabel = stream + 1;
    nodeLabelBytes = 1;
    nodeShape = <i32>load<u8>(stream);
    return stream + 2;
  }
  const entry = <i32>load<u16>(t.codes + 2 * <usize>code);
  const label = entry & LABEL_MASK;
  nodeLabel = t.labels + <usize>label;
  nodeLabelBytes = (<i32>load<u16>(t.codes + 2 * <usize>(code + 1)) & LABEL_MASK) - label;
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
function passChildren(t: Tokenizer, stream: usize): usize {
  for (let openLists = 1; openLists > 0; ) {
    const code = <i32>load<u8>(stream++);
    if (code === CODE_SKIP) { // only before nodes with a sibling: the list stays open
      stream = readVarint(stream);
      const subtreeBytes = varint;
      stream = readVarint(stream) + <usize>subtreeBytes;
      nextToken += varint;
      continue;
    }
    let shape = <i32>load<u16>(t.codes + 2 * <usize>code) >> SHAPE_SHIFT;
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

/**
 * Writes a token of the trie as text, without "##", at `to`; returns its bytes, 0: there is none. The
 * place of the word holds where the text of every open list begins.
 */
export function lm_spell(t: Tokenizer, id: i32, to: usize): i32 {
  const stack = t.word;
  const continues = id >= t.continuationFirst;
  let stream = t.trie + (continues ? <usize>t.continuationOffset : 0);
  nextToken = continues ? t.continuationFirst : 0;
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
    stream = readNode(t, stream);
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
