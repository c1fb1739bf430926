/**
 * Runs a Program call by call on one arena, as the chip does, and poisons every byte that is not in
 * use: the proof that the plan's lifetimes and offsets are right. Its result must equal the graph's.
 */
import { dtypes, viewBytes } from '../ir/dtypes.ts';
import { type Matrix, rowsOf, tensorOf } from '../ir/graph.ts';
import { opOf } from '../ops/index.ts';
import type { Buffer, Call, Program, Slot } from '../schedule/program.ts';
import { constantMatrix, inputMatrix, type Tokens } from './interpreter.ts';

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
  const { graph } = program;
  const count = tokens.ids.length;
  const arena = new Uint8Array(program.arenaBytes);
  const poison = options.poison;
  const live = new Set<Buffer>();
  const all = Object.values(program.buffers);
  if (poison !== undefined) arena.fill(poison);
  for (const name of graph.inputs) {
    const buffer = program.buffers[name];
    if (buffer === undefined) continue;
    bufferView(arena, buffer).set(inputMatrix(tensorOf(graph, name), tokens).data);
    live.add(buffer);
  }
  let number = 0;
  for (const segment of program.segments) {
    const rows = rowsOf(segment.rows, count);
    for (let rowStart = 0; rowStart < rows; rowStart += segment.tileRows) {
      const tile = { rowStart, rows: Math.min(segment.tileRows, rows - rowStart), count };
      for (const [index, call] of segment.calls.entries()) {
        if (poison !== undefined) {
          poisonDead(arena, all, live, number + index, poison);
        }
        runCall(program, arena, call, tokens, tile);
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

interface Tile {
  readonly rowStart: number;
  readonly rows: number;
  /** Tokens of this inference. */
  readonly count: number;
}

function runCall(
  program: Program,
  arena: Uint8Array,
  { node, inputs, output }: Call,
  tokens: Tokens,
  tile: Tile,
): void {
  const out = slotMatrix(program, arena, output, tile);
  if (node === null) {
    const from = slotMatrix(program, arena, inputs[0]!, tile);
    for (let row = 0; row < out.rows; row++) {
      for (let column = 0; column < out.columns; column++) {
        out.data[out.offset + row * out.stride + column] =
          from.data[from.offset + row * from.stride + column]!;
      }
    }
    return;
  }
  const matrices = node.inputs.map((name, index) => {
    const slot = inputs[index];
    if (slot !== null && slot !== undefined) return slotMatrix(program, arena, slot, tile);
    const tensor = tensorOf(program.graph, name);
    return tensor.role === 'input'
      ? inputMatrix(tensor, tokens)
      : constantMatrix(program.graph, name);
  });
  const context = { tokens: tile.count, rowStart: tile.rowStart };
  opOf(node.op).evalInteger(matrices, node.attrs, node.integer, out, context);
}

function slotMatrix(program: Program, arena: Uint8Array, slot: Slot, tile: Tile): Matrix {
  const buffer = program.buffers[slot.buffer]!;
  const data = bufferView(arena, buffer);
  const stride = buffer.columns;
  const first = firstRow(slot, buffer, tile);
  const rows = slot.rows === 'all' ? tile.count : slot.rows === 'tile' ? tile.rows : 1;
  return { data, offset: first * stride + slot.firstColumn, rows, columns: slot.columns, stride };
}

/** A tile buffer holds only the current tile; any other the rows of all tokens. */
function firstRow(slot: Slot, buffer: Buffer, tile: Tile): number {
  if (slot.rows === 'last') return tile.count - 1;
  if (slot.rows !== 'tile' || buffer.kind === 'tile') return 0;
  return buffer.rows === 1 ? 0 : tile.rowStart;
}

function bufferView(arena: Uint8Array, buffer: Buffer): Matrix['data'] {
  const length = buffer.sizeBytes / dtypes[buffer.dtype].bytes;
  return viewBytes(buffer.dtype, arena.buffer, buffer.offset, length);
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
    const sharesLiveBytes = [...live].some(
      (other) =>
        other !== buffer &&
        other.offset === buffer.offset &&
        other.firstCall === buffer.firstCall &&
        other.lastCall === buffer.lastCall,
    );
    if (!sharesLiveBytes) arena.fill(poison, buffer.offset, buffer.offset + buffer.sizeBytes);
  }
}
