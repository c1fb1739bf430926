/**
 * Runs a Program call by call on one arena, as the chip does, and poisons every byte that is not in
 * use: the proof that the plan's lifetimes and offsets are right. Its result must equal the graph's.
 */
import { type NpuImage, npuImage } from '../emit/npu-image.ts';
import { internalError } from '../errors.ts';
import { accelerators } from '../ethosu/accelerators.ts';
import { dtypes, viewBytes } from '../ir/dtypes.ts';
import { denseMatrix, type Matrix, rowsOf, tensorOf } from '../ir/graph.ts';
import { type Ring, rowsHeld, slotOf } from '../ops/cache.ts';
import { operandOf, opOf } from '../ops/index.ts';
import {
  type Buffer,
  type Call,
  type InnerLoop,
  loopsOf,
  type Program,
  type Slot,
} from '../schedule/program.ts';
import { definedSpace, type Space } from './ethosu/memory.ts';
import { simulate } from './ethosu/simulate.ts';
import { constantMatrix, inputMatrix, type Tokens } from './interpreter.ts';
import { attendOnNpu } from './npu-attention.ts';

export interface RunOptions {
  /** The byte written where nothing may be read: before a buffer's first and after its last use. */
  readonly poison?: number;
}

/** The program's outputs, copied from the arena, in the order of `graph.outputs`. */
export function runProgram(
  program: Program,
  tokens: Tokens,
  options: RunOptions = {},
): readonly Matrix[] {
  return programRuns(program, options)(tokens, 0);
}

/**
 * Runs on one arena, one after the other. A run takes up where the last one ended, at token `start`,
 * if the program keeps state; else `start` is 0.
 */
export function programRuns(
  program: Program,
  { poison }: RunOptions = {},
): (tokens: Tokens, start: number) => readonly Matrix[] {
  const arena = new Uint8Array(program.arenaBytes);
  if (poison !== undefined) arena.fill(poison);
  return (tokens, start) => {
    if (poison !== undefined && start > 0) poisonBetweenRuns(arena, program, poison);
    return runOnArena(program, arena, tokens, start, poison);
  };
}

function runOnArena(
  program: Program,
  arena: Uint8Array,
  tokens: Tokens,
  start: number,
  poison: number | undefined,
): readonly Matrix[] {
  const { graph } = program;
  const image = npuImage(program);
  const count = tokens.ids.length;
  const all = Object.values(program.buffers);
  const live = new Set<Buffer>(all.filter(({ kind }) => kind === 'state'));
  for (const name of graph.inputs) {
    const buffer = program.buffers[name];
    if (buffer === undefined) continue;
    bufferView(arena, buffer).set(inputMatrix(tensorOf(graph, name), tokens).data);
    live.add(buffer);
  }
  let number = 0;
  for (const segment of program.segments) {
    const isLoop = segment.rows === 'tokens';
    const rows = rowsOf(segment.rows, count);
    const first = number;
    for (const block of blocksOf(isLoop ? start : 0, rows, segment.tileRows)) {
      for (const steps of loopsOf(segment.calls)) {
        const { inner, onlyFirst } = steps[0]!;
        if (onlyFirst && block.rowStart > 0) continue;
        const tiles = inner === null ? [block] : innerBlocks(inner, block, count);
        for (const tile of tiles) {
          const position: Position = { tile, outer: block, count, start };
          for (const [index, call] of steps.entries()) {
            if (poison !== undefined) {
              poisonDead(arena, all, live, first + segment.calls.indexOf(call), poison);
            }
            if (call.attention !== null) runAttention(program, image, arena, call, position);
            else if (call.job === null) runCall(program, arena, call, tokens, position);
            else if (steps[index - 1]?.job !== call.job) {
              runJob(program, image, arena, call.job, position);
            }
          }
        }
      }
    }
    number += segment.calls.length;
  }
  return graph.outputs.map((name) => {
    const buffer = program.buffers[name]!;
    const rows = rowsOf(tensorOf(graph, name).shape[0], count);
    const data = bufferView(arena, buffer).slice(0, rows * buffer.columns);
    return { data, offset: 0, rows, columns: buffer.columns, stride: buffer.columns };
  });
}

/** As the NPU does it: by the simulator, on the same arena. */
function runJob(
  program: Program,
  image: NpuImage | null,
  arena: Uint8Array,
  index: number,
  position: Position,
): void {
  const job = image?.jobs[index];
  if (image === null || job === undefined) throw internalError(`there is no NPU job ${index}`);
  const tiles = program.npu!.jobs[index]!.regions.map((slot, region): Space => {
    const { offset } = slotMatrix(program, arena, slot, position);
    const { dtype, offset: base } = program.buffers[slot.buffer]!;
    const begin = base + offset * dtypes[dtype].bytes;
    return definedSpace(slot.buffer, arena.subarray(begin, begin + job.regionBytes[region + 1]!));
  });
  const constants = definedSpace('the constants', image.constants);
  simulate(job.words, accelerators[image.accelerator], [constants, ...tiles]);
}

function runAttention(
  program: Program,
  image: NpuImage | null,
  arena: Uint8Array,
  { node, inputs, output, attention: index }: Call,
  position: Position,
): void {
  const found = image?.attentions[index!];
  if (image === null || found === undefined || node?.op !== 'attention') {
    throw internalError(`there is no NPU attention ${index}`);
  }
  const [q, k, v] = inputs.map((slot) => slotMatrix(program, arena, slot!, position));
  const begin = program.buffers[inputs[0]!.buffer]!.offset + q!.offset;
  const run = {
    ...{ accelerator: image.accelerator, constants: image.constants, image: found },
    plan: program.npu!.attentions[index!]!.plan,
    ...{ attrs: node.attrs, integer: node.integer },
    queries: arena.subarray(begin, begin + found.jobs[0]!.regionBytes[1]!),
    rowStart: position.tile.rowStart,
  };
  attendOnNpu(run, k!, v!, slotMatrix(program, arena, output, position));
}

interface Block {
  readonly rowStart: number;
  readonly rows: number;
}

/** Rows `start` to `end − 1`. */
function blocksOf(start: number, end: number, size: number): readonly Block[] {
  return Array.from({ length: Math.ceil((end - start) / size) }, (_, index) => ({
    rowStart: start + index * size,
    rows: Math.min(size, end - start - index * size),
  }));
}

function innerBlocks(
  { over, tileRows }: InnerLoop,
  outer: Block,
  tokens: number,
): readonly Block[] {
  return over === 'tokens'
    ? blocksOf(0, tokens, tileRows)
    : blocksOf(outer.rowStart, outer.rowStart + outer.rows, tileRows);
}

/** Where the loops stand. */
interface Position {
  /** Of the loop that the call stands in. */
  readonly tile: Block;
  /** Of the segment. */
  readonly outer: Block;
  /** Tokens of this inference. */
  readonly count: number;
  /** The first of them that this run takes. */
  readonly start: number;
}

function runCall(
  program: Program,
  arena: Uint8Array,
  { node, inputs, output, carry, inner }: Call,
  tokens: Tokens,
  position: Position,
): void {
  const matrixOf = (slot: Slot): Matrix => slotMatrix(program, arena, slot, position, inner);
  const out = matrixOf(output);
  if (node === null) {
    const from = matrixOf(inputs[0]!);
    for (let row = 0; row < out.rows; row++) {
      for (let column = 0; column < out.columns; column++) {
        out.data[out.offset + row * out.stride + column] =
          from.data[from.offset + row * from.stride + column]!;
      }
    }
    return;
  }
  const { tile, count } = position;
  const matrices = node.inputs.map((name, index) => {
    const slot = inputs[index];
    if (slot !== null && slot !== undefined) return matrixOf(slot);
    const tensor = tensorOf(program.graph, name);
    if (tensor.role === 'input') return inputMatrix(tensor, tokens);
    const constant = constantMatrix(program.graph, name);
    return operandOf(node.op, index).reads === 'row' ? rowsOfTile(constant, tile) : constant;
  });
  const op = opOf(node.op);
  if (carry === null) {
    const ring = op.cache?.(node.attrs);
    const rowStart = ring === undefined ? tile.rowStart : rowsHeld(tile.rowStart, ring) - 1;
    const context = { tokens: count, rowStart };
    op.evalInteger(matrices, node.attrs, node.integer, out, context);
    return;
  }
  const buffer = program.buffers[carry]!;
  if (op.scores !== undefined) {
    const scores = denseMatrix(bufferView(arena, buffer), buffer.rows, buffer.columns);
    op.scores.evalRow(matrices, node.attrs, node.integer, scores, out, tile.rowStart);
    return;
  }
  const isWhole = inputs.some((slot) => slot?.rows === 'all');
  op.streaming!.evalBlock(
    matrices,
    node.attrs,
    node.integer,
    denseMatrix(bufferView(arena, buffer), buffer.rows, buffer.columns),
    out,
    { firstRow: isWhole ? 0 : tile.rowStart, tokens: count },
  );
}

function rowsOfTile(constant: Matrix, { rowStart, rows }: Block): Matrix {
  return { ...constant, offset: rowStart * constant.stride, rows };
}

function slotMatrix(
  program: Program,
  arena: Uint8Array,
  slot: Slot,
  { tile, outer, count, start }: Position,
  inner: InnerLoop | null = null,
): Matrix {
  const buffer = program.buffers[slot.buffer]!;
  const { rowStart, rows } = rowsOfSlot(slot, tile, outer, count, buffer.ring);
  const isOneTile = buffer.kind === 'tile' || buffer.rows === 1;
  const ofLoop = inner?.over === 'tile' && slot.rows === 'tile' ? rowStart - outer.rowStart : 0;
  const inTile = slot.rows === 'last' ? (rowStart - start) % buffer.rows : ofLoop;
  const first = isOneTile ? inTile : rowStart;
  const stride = buffer.columns;
  return {
    data: bufferView(arena, buffer),
    offset: first * stride + slot.firstColumn,
    ...{ rows, columns: slot.columns, stride },
  };
}

function rowsOfSlot(
  { rows }: Slot,
  tile: Block,
  outer: Block,
  count: number,
  ring: Ring | null,
): Block {
  switch (rows) {
    case 'tile':
      return tile;
    case 'outer':
      return outer;
    case 'all':
      return { rowStart: 0, rows: count };
    case 'past': {
      const last = tile.rowStart + tile.rows - 1;
      return { rowStart: 0, rows: ring === null ? last + 1 : rowsHeld(last, ring) };
    }
    case 'ring':
      return { rowStart: slotOf(tile.rowStart, ring!), rows: 1 };
    case 'first':
      return { rowStart: 0, rows: 1 };
    case 'last':
      return { rowStart: count - 1, rows: 1 };
  }
}

function bufferView(arena: Uint8Array, buffer: Buffer): Matrix['data'] {
  const length = buffer.sizeBytes / dtypes[buffer.dtype].bytes;
  return viewBytes(buffer.dtype, arena.buffer, buffer.offset, length);
}

/** Only state outlives a run. */
function poisonBetweenRuns(arena: Uint8Array, { buffers }: Program, poison: number): void {
  const kept = arena.slice();
  arena.fill(poison);
  for (const { kind, offset, sizeBytes } of Object.values(buffers)) {
    if (kind === 'state') arena.set(kept.subarray(offset, offset + sizeBytes), offset);
  }
}

/** Buffers that come into use at this call hold garbage; those that went out of use hold garbage again. */
function poisonDead(
  arena: Uint8Array,
  all: readonly Buffer[],
  live: Set<Buffer>,
  call: number,
  poison: number,
): void {
  for (const buffer of all) {
    const inUse = buffer.firstCall <= call && call <= buffer.lastCall;
    if (inUse === live.has(buffer)) continue;
    if (inUse) live.add(buffer);
    else live.delete(buffer);
    poisonOwn(arena, buffer, live, poison);
  }
}

/** The bytes of a buffer in which no live one lies that it overwrites, or that overwrites it. */
function poisonOwn(
  arena: Uint8Array,
  buffer: Buffer,
  live: ReadonlySet<Buffer>,
  poison: number,
): void {
  let begin = buffer.offset;
  let end = begin + buffer.sizeBytes;
  for (const other of live) {
    if (other === buffer || rootOf(other) !== rootOf(buffer)) continue;
    if (other.offset <= begin) begin = Math.max(begin, other.offset + other.sizeBytes);
    else end = Math.min(end, other.offset);
  }
  arena.fill(poison, begin, Math.max(begin, end));
}

function rootOf({ name, sharesWith }: Buffer): string {
  return sharesWith ?? name;
}
