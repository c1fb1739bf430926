// SPDX-License-Identifier: Apache-2.0
/**
 * Rows of embedding tables, found by token id or by position: as they are stored, of clusters of low
 * rank, or sums of entries of codebooks. `ids` 0: by position.
 */
import { clamp, requantize } from './fixed_point';

/** y = rows[id], or (rows[id]·multipliers[id] + 2^(shift − 1)) >> shift, saturated. */
@unmanaged
export class LookupRows {
  width: i32;
  /** Of an element: 8, or 4, two a byte, the lower half first. */
  bits: i32;
  rows: usize;
  /** (rows) uint16; 0: rows stay as they are. */
  multipliers: usize;
  shift: i32;
}

export function lm_lookup_rows_s8_s8_simd(
  p: LookupRows, ids: usize, rows: i32, rowStart: i32, y: usize, yStride: i32,
): void {
  for (let row = 0; row < rows; row++) {
    const index = tableRow(ids, row, rowStart);
    const to = y + <usize>(row * yStride);
    unpackRow(p, index, to);
    if (p.multipliers !== 0) scaleRow(p, <i32>load<u16>(p.multipliers + 2 * <usize>index), to);
  }
}

/** Always with multipliers. */
export function lm_lookup_rows_s8_s16_simd(
  p: LookupRows, ids: usize, rows: i32, rowStart: i32, y: usize, yStride: i32,
): void {
  const half = (1 << p.shift) >> 1;
  for (let row = 0; row < rows; row++) {
    const index = tableRow(ids, row, rowStart);
    const multiplier = <i32>load<u16>(p.multipliers + 2 * <usize>index);
    const from = p.rows + <usize>(index * (p.bits === 4 ? (p.width + 1) >> 1 : p.width));
    const to = y + 2 * <usize>(row * yStride);
    for (let i = 0; i < p.width; i++) {
      const own = p.bits === 4 ? nibbleAt(from, i) : <i32>load<i8>(from + <usize>i);
      const scaled = (own * multiplier + half) >> p.shift;
      store<i16>(to + 2 * <usize>i, <i16>clamp(scaled, -32768, 32767));
    }
  }
}

/** Of the table, for row `row` of a tile. */
export function tableRow(ids: usize, row: i32, rowStart: i32): i32 {
  return ids === 0 ? rowStart + row : <i32>load<u16>(ids + 2 * <usize>row);
}

function unpackRow(p: LookupRows, index: i32, to: usize): void {
  let i = 0;
  if (p.bits === 4) {
    const from = p.rows + <usize>(index * ((p.width + 1) >> 1));
    for (; i < p.width; i++) store<i8>(to + <usize>i, <i8>nibbleAt(from, i));
    return;
  }
  const from = p.rows + <usize>(index * p.width);
  for (; i + 16 <= p.width; i += 16) v128.store(to + <usize>i, v128.load(from + <usize>i));
  for (; i < p.width; i++) store<u8>(to + <usize>i, load<u8>(from + <usize>i));
}

/** The signed half byte `index` of a row. */
// @ts-ignore: decorator
@inline
function nibbleAt(row: usize, index: i32): i32 {
  const both = <i32>load<i8>(row + <usize>(index >> 1));
  return (index & 1) === 0 ? (both << 28) >> 28 : both >> 4;
}

function scaleRow(p: LookupRows, multiplier: i32, y: usize): void {
  const half = (1 << p.shift) >> 1;
  for (let i = 0; i < p.width; i++) {
    const scaled = (<i32>load<i8>(y + <usize>i) * multiplier + half) >> p.shift;
    store<i8>(y + <usize>i, <i8>clamp(scaled, -128, 127));
  }
}

/** Rows in groups that have tables of their own, in the order of the rows. */
@unmanaged
class RowGroups {
  /** 1: there is nothing else to know. */
  groups: i32;
  bits: i32;
  /** The group of each row, so many bits, the lowest first. */
  packed: usize;
  /** (blocks, groups) uint16: rows of the group before the block. */
  before: usize;
}

const GROUP_BLOCK: i32 = 64;

function groupOf(p: RowGroups, row: i32): i32 {
  const bit = row * p.bits;
  return (<i32>load<u8>(p.packed + <usize>(bit >> 3)) >> (bit & 7)) & ((1 << p.bits) - 1);
}

/** The number of a row among those of its group, counted on from the block that it stands in. */
function rankOf(p: RowGroups, row: i32, group: i32): i32 {
  if (p.groups === 1) return row;
  const block = row / GROUP_BLOCK;
  let rank = <i32>load<u16>(p.before + 2 * <usize>(block * p.groups + group));
  for (let other = block * GROUP_BLOCK; other < row; other++) {
    if (groupOf(p, other) === group) rank++;
  }
  return rank;
}

/** y = requantize(offset + Σ_k factors·projection), saturated, each of the cluster of the row. */
@unmanaged
export class ClusterRows extends RowGroups {
  width: i32;
  clusters: usize;
}

@unmanaged
class Cluster {
  rank: i32;
  bits: i32;
  factors: usize;
  /** (width, rank) */
  projection: usize;
  offset: usize;
  /** (width): multiplier and shift. */
  requants: usize;
}

export function lm_cluster_rows_s8_s8_simd(
  p: ClusterRows, ids: usize, rows: i32, rowStart: i32, y: usize, yStride: i32,
): void {
  for (let row = 0; row < rows; row++) {
    const index = tableRow(ids, row, rowStart);
    const group = p.groups === 1 ? 0 : groupOf(p, index);
    const cluster = changetype<Cluster>(p.clusters + <usize>group * offsetof<Cluster>());
    const rank = cluster.rank;
    const isWhole = cluster.bits === 8;
    const rowBytes = isWhole ? rank : (rank + 1) >> 1;
    const factors = cluster.factors + <usize>(rankOf(p, index, group) * rowBytes);
    for (let column = 0; column < p.width; column++) {
      const weights = cluster.projection + <usize>(column * rank);
      let sum = load<i32>(cluster.offset + 4 * <usize>column);
      for (let k = 0; k < rank; k++) {
        const factor = isWhole ? <i32>load<i8>(factors + <usize>k) : nibbleAt(factors, k);
        sum += factor * <i32>load<i8>(weights + <usize>k);
      }
      const requant = cluster.requants + 8 * <usize>column;
      const scaled = requantize(sum, load<i32>(requant), load<i32>(requant, 4));
      store<i8>(y + <usize>(row * yStride + column), <i8>clamp(scaled, -128, 127));
    }
  }
}

/** y = the sum of one entry of each codebook, saturated after each. */
@unmanaged
export class CodebookRows extends RowGroups {
  rank: i32;
  /** (groups): stages, codes. */
  tiers: usize;
  /** (stages): first column, columns, entries. */
  books: usize;
}

export function lm_codebook_rows_s8_s8_simd(
  p: CodebookRows, ids: usize, rows: i32, rowStart: i32, y: usize, yStride: i32,
): void {
  for (let row = 0; row < rows; row++) {
    const index = tableRow(ids, row, rowStart);
    const group = p.groups === 1 ? 0 : groupOf(p, index);
    const tier = p.tiers + 8 * <usize>group;
    const stages = load<i32>(tier);
    const codes = load<usize>(tier, 4) + <usize>(rankOf(p, index, group) * stages);
    const to = y + <usize>(row * yStride);
    for (let i = 0; i < p.rank; i++) store<u8>(to + <usize>i, 0);
    for (let stage = 0; stage < stages; stage++) {
      const book = p.books + 12 * <usize>stage;
      const columns = load<i32>(book, 4);
      const code = <i32>load<u8>(codes + <usize>stage);
      const entry = load<usize>(book, 8) + <usize>(code * columns);
      addEntry(entry, columns, to + <usize>load<i32>(book));
    }
  }
}

function addEntry(entry: usize, columns: i32, y: usize): void {
  let i = 0;
  for (; i + 16 <= columns; i += 16) {
    const at = y + <usize>i;
    v128.store(at, i8x16.add_sat_s(v128.load(at), v128.load(entry + <usize>i)));
  }
  for (; i < columns; i++) {
    const sum = <i32>load<i8>(y + <usize>i) + <i32>load<i8>(entry + <usize>i);
    store<i8>(y + <usize>i, <i8>clamp(sum, -128, 127));
  }
}
