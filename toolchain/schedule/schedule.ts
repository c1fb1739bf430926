/**
 * Realises a plan in bytes and offsets: segments become calls on buffers, buffers get a place.
 *
 * A tensor made and read inside one segment needs a buffer of one tile, which may overwrite a tile that
 * dies with it; any other needs all its rows. What a stream takes needs one block of its loop, and a
 * buffer for what each query row carries from block to block.
 * A segment's result takes the place of a tensor that dies in it, row by row (the residual stream is
 * never stored twice). The tensor may have fewer columns: it then lies at the result's end, where its
 * rows are read before the result's rows reach them:
 *
 *   result   | row 0 | row 1 | row 2 | row 3 |         row r ends at d·(r + 1)
 *   dying            | 0  | 1  | 2  | 3  | …           row r begins at (d − c)·rows + c·r
 */
import { internalError } from '../errors.ts';
import { roundUp } from '../integers.ts';
import { dtypes } from '../ir/dtypes.ts';
import { type Graph, type Node, rowsOf, type Stage, type Tensor, tensorOf } from '../ir/graph.ts';
import type { Ring } from '../ops/cache.ts';
import { operandOf, opOf } from '../ops/index.ts';
import { type NpuTarget, npuAlignment } from './npu.ts';
import { layOutNpu } from './npu-layout.ts';
import { overwrittenBy, overwrittenTile } from './overwrite.ts';
import { blocksOf, type OpenBuffer, placeBuffers } from './place-buffers.ts';
import {
  type BufferKind,
  type Call,
  type InnerLoop,
  type Program,
  type ProgramSegment,
  type Slot,
  stateWords,
} from './program.ts';
import {
  cutSegments,
  isConsumed,
  nodesOf,
  readsPast,
  type Segment,
  type Step,
} from './segments.ts';
import {
  columnsOf,
  inputSlot,
  isKeptApart,
  isRecomputed,
  isTurned,
  joinOf,
  type Place,
  placeOf,
  realReaders,
  ringOf,
  rowsOfSlot,
  runsOnce,
  type SegmentedGraph,
  segmentedGraph,
  slotOf,
  withJoins,
} from './slots.ts';

export type ScratchBytes = (graph: Graph<Stage>, node: Node) => number;

export interface ScheduleOptions {
  readonly maxTokens: number;
  readonly tileRows: number;
  readonly recomputeInputs: boolean;
  /** Scratch of one call of the kernel that will compute the node. */
  readonly scratchBytes: ScratchBytes;
  /** Without it the core makes all calls. */
  readonly npu?: NpuTarget | null;
}

/** A program whose buffers have no place yet: enough to count instructions and to bound the arena. */
export interface Draft extends Pick<Program, 'graph' | 'maxTokens' | 'segments' | 'npu'> {
  /** The most bytes in use during any call: no placement needs less. */
  readonly lowerBoundBytes: number;
  place(): Program;
}

/** `graph` may be of any stage: only shapes and dtypes count (a planner asks before quantization). */
export function draft(graph: Graph<Stage>, options: ScheduleOptions): Draft {
  const { maxTokens } = options;
  const segments = cutSegments(graph, options);
  const layout = new Layout(graph, segments, options);
  const { buffers } = layout;
  const laidOut = segments.map((segment, index) => layout.segment(segment, index));
  const program = {
    graph: graph as Graph<'legal'>,
    maxTokens,
    ...(options.npu == null
      ? { segments: laidOut, npu: null }
      : layOutNpu(graph, laidOut, buffers, options.npu, maxTokens)),
  };
  const blocks = blocksOf(buffers, layout.lastCall);
  return {
    ...program,
    lowerBoundBytes: blocks.lowerBoundBytes,
    place: () => ({ ...program, ...placeBuffers(buffers, blocks, maxTokens) }),
  };
}

export function schedule(graph: Graph<Stage>, options: ScheduleOptions): Program {
  return draft(graph, options).place();
}

/** The state of one `schedule` call. */
class Layout {
  private readonly graph: Graph<Stage>;
  private readonly options: ScheduleOptions;
  private readonly segments: readonly Segment[];
  private readonly segmentOf: ReadonlyMap<string, number>;
  private readonly cut: SegmentedGraph;
  readonly buffers = new Map<string, OpenBuffer>();
  private nextCall = 0;

  constructor(graph: Graph<Stage>, segments: readonly Segment[], options: ScheduleOptions) {
    this.graph = graph;
    this.options = options;
    this.segments = segments;
    this.cut = segmentedGraph(graph, segments, options);
    this.segmentOf = this.cut.segmentOf;
    for (const name of graph.inputs) {
      const tensor = tensorOf(graph, name);
      const isIds = tensor.shape[0] === 'tokens';
      const shape = isIds ? tensor.shape : ([1, stateWords(readsPast(graph)).length] as const);
      this.open(name, 'input', { ...tensor, shape }, isIds ? options.maxTokens : 1, 0);
    }
  }

  segment({ rows, steps }: Segment, index: number): ProgramSegment {
    const allRows = rowsOf(rows, this.options.maxTokens);
    const tileRows = Math.min(allRows, this.options.tileRows);
    const firstCall = this.nextCall;
    const calls = steps.flatMap((step, number) => {
      const place = { segment: index, tileRows, step: number, inner: null, madeInside: [] };
      return step.kind === 'node' ? this.callsFor(step.node, place) : this.stream(step, place);
    });
    // A loop comes back to its first call: what holds more than a tile is in use all through it.
    if (tileRows < allRows) {
      const isOfTile = (kind: BufferKind): boolean => kind === 'tile' || kind === 'scratch';
      const names = calls.flatMap(slotBuffers);
      this.useThroughout(
        names.filter((name) => !isOfTile(this.buffers.get(name)!.kind)),
        firstCall,
      );
    }
    const name = calls.findLast(({ node }) => node !== null)!.node!.name;
    return { name, rows, tileRows, calls };
  }

  /** The loop that makes blocks of what `node` reads whole; they and scratch are its own. */
  private stream({ makers, node }: Step & { readonly kind: 'stream' }, place: Place): Call[] {
    const { blockRows } = opOf(node.op).streaming!;
    const inner: InnerLoop = { index: place.step, over: 'tokens', tileRows: blockRows };
    const madeInside = makers.map(({ output }) => output);
    const inside: Place = { ...place, inner, madeInside };
    const firstCall = this.nextCall;
    const calls = [...makers, node].flatMap((each) => this.callsFor(each, inside));
    if (calls.some((call) => call.inner === null)) {
      throw internalError('a copy tears the loop of a stream apart', node.name);
    }
    const own = madeInside.map((name) => placeOf(this.cut, name, inside).buffer);
    this.useThroughout(
      calls
        .flatMap(slotBuffers)
        .filter((name) => !own.includes(name) && this.buffers.get(name)!.kind !== 'scratch'),
      firstCall,
    );
    return calls;
  }

  /** The buffers are in use from `firstCall` to the last call so far. */
  private useThroughout(names: readonly string[], firstCall: number): void {
    for (const name of names) {
      const buffer = this.buffers.get(name)!;
      buffer.firstCall = Math.min(buffer.firstCall, firstCall);
      buffer.lastCall = Math.max(buffer.lastCall, this.nextCall - 1);
    }
  }

  private callsFor(node: Node, place: Place): Call[] {
    if (node.op === 'concat') return this.endJoin(node, place);
    const ring = opOf(node.op).cache?.(node.attrs);
    if (ring !== undefined && place.inner === null) return this.rowByRow(node, ring, place);
    const onlyFirst = runsOnce(this.cut, node, place);
    if (node.op === 'selectRow') return [this.keepRow(node, place, onlyFirst)];
    const copies = this.beginJoin(node, place);
    const inputs = node.inputs.map((name, index) => inputSlot(this.cut, node, name, index, place));
    const carry = this.openCarry(node, place);
    const output = this.outputSlot(node, place);
    const scratch = this.openScratch(node);
    const { inner } = place;
    const call = {
      node: node as Node<'legal'>,
      ...{ inputs, output, scratch, carry, inner, onlyFirst },
      job: null,
      attention: null,
    };
    this.touch(call);
    return [...copies, call, ...this.turn(node, place)];
  }

  /**
   * A loop over the tile's rows, of which each goes into the cache before its query looks there: a row
   * may take the place of one that the query before it has seen.
   */
  private rowByRow(node: Node, ring: Ring, place: Place): Call[] {
    const firstCall = this.nextCall;
    const inner: InnerLoop = { index: place.step, over: 'tile', tileRows: 1 };
    const kept = node.inputs.filter((_, index) => operandOf(node.op, index).reads === 'past');
    const copies = kept.map((name): Call => {
      this.openState(name, ring.rows, ring);
      const from: Slot = {
        buffer: ownRows(name),
        firstColumn: 0,
        rows: 'tile',
        ...columnsOf(this.cut, name),
      };
      const call = { ...copy(from, { ...from, buffer: name, rows: 'ring' }), inner };
      this.touch(call);
      return call;
    });
    const calls = [...copies, ...this.callsFor(node, { ...place, inner })];
    const used = calls.flatMap(slotBuffers);
    this.useThroughout(
      used.filter((name) => this.buffers.get(name)!.kind !== 'scratch'),
      firstCall,
    );
    return calls;
  }

  /** Rows that are kept column by column go there from their tile. */
  private turn(node: Node, place: Place): Call[] {
    if (!isTurned(this.cut, node.output) || ringOf(this.cut, node.output) !== null) return [];
    const from = this.outputSlot(node, place);
    this.openState(node.output, this.options.maxTokens, null);
    const call = copy(from, { ...from, buffer: node.output });
    this.touch(call);
    return [call];
  }

  private openState(name: string, rows: number, ring: Ring | null): void {
    const whole = isTurned(this.cut, name) ? roundUp(rows, turnedRows) : rows;
    this.open(name, 'state', tensorOf(this.graph, name), whole, this.nextCall, ring);
  }

  /** Copies the first row of a tensor of which only tiles exist. */
  private keepRow(node: Node, place: Place, onlyFirst: boolean): Call {
    const source = node.inputs[0]!;
    const from: Slot = {
      ...placeOf(this.cut, source, place),
      rows: 'first',
      ...columnsOf(this.cut, source),
    };
    const output = this.outputSlot(node, place);
    const call: Call = { ...copy(from, output), onlyFirst };
    this.touch(call);
    return call;
  }

  private openScratch(node: Node): string | null {
    const bytes = this.options.scratchBytes(this.graph, node);
    if (bytes === 0) return null;
    const name = `scratch:${node.output}`;
    this.open(name, 'scratch', { dtype: 'uint8', shape: [1, bytes] }, 1, this.nextCall);
    return name;
  }

  /** Begun anew in every tile, unless the tiles of the segment are the stream. */
  private openCarry(node: Node, { tileRows }: Place): string | null {
    const { streaming, scores } = opOf(node.op);
    if (scores !== undefined) {
      const name = `scores:${node.output}`;
      const shape = [1, scores.columns(node.attrs)] as const;
      this.open(name, 'state', { dtype: 'int32', shape }, 1, this.nextCall);
      return name;
    }
    if (streaming === undefined) return null;
    const shapes = node.inputs.map((input) => tensorOf(this.graph, input).shape);
    const columns = streaming.carryColumns(shapes, node.attrs);
    const isOneRow = tensorOf(this.graph, node.output).shape[0] === 1;
    const name = `carry:${node.output}`;
    const [kind, rows] = isOneRow ? (['whole', 1] as const) : (['tile', tileRows] as const);
    this.open(name, kind, { dtype: 'int32', shape: [rows, columns] }, rows, this.nextCall);
    return name;
  }

  /** Before the first part is written into its join, those of earlier segments are copied there. */
  private beginJoin(node: Node, place: Place): Call[] {
    const { buffer } = placeOf(this.cut, node.output, place);
    const isPart = joinOf(this.cut, node.output, place.segment) !== null;
    if ((node.op !== 'concat' && !isPart) || this.buffers.has(buffer)) return [];
    this.openFor(node, buffer, place);
    return nodesOf(this.segments[place.segment]!)
      .filter(
        ({ op, output }) => op === 'concat' && placeOf(this.cut, output, place).buffer === buffer,
      )
      .flatMap((join) =>
        this.copiesInto(join, place, (part) => this.segmentOf.get(part) !== place.segment),
      );
  }

  /** Most parts are in their join by then; those that others read too are copied. */
  private endJoin(join: Node, place: Place): Call[] {
    const copies = this.beginJoin(join, place);
    const isApart = (part: string): boolean =>
      this.segmentOf.get(part) === place.segment && joinOf(this.cut, part, place.segment) === null;
    return [...copies, ...this.copiesInto(join, place, isApart)];
  }

  private copiesInto(join: Node, place: Place, isCopied: (part: string) => boolean): Call[] {
    const rows = rowsOfSlot(this.cut, join.output, 'row', place);
    const whole = placeOf(this.cut, join.output, place);
    let firstColumn = whole.firstColumn;
    const calls: Call[] = [];
    for (const name of join.inputs) {
      const { columns } = columnsOf(this.cut, name);
      if (isCopied(name)) {
        const from = slotOf(this.cut, name, 'row', place);
        calls.push(copy(from, { buffer: whole.buffer, rows, firstColumn, columns }));
      }
      firstColumn += columns;
    }
    for (const call of calls) this.touch(call);
    return calls;
  }

  private outputSlot(node: Node, place: Place): Slot {
    const { buffer: own, firstColumn } = placeOf(this.cut, node.output, place);
    const name = isKeptApart(this.cut, node.output) ? ownRows(own) : own;
    if (!this.buffers.has(name)) this.openFor(node, name, place);
    const buffer = this.buffers.get(name)!;
    for (const one of withJoins(this.cut, node.output, place.segment))
      if (!buffer.tensors.includes(one)) buffer.tensors.push(one);
    const rows = rowsOfSlot(this.cut, node.output, 'row', place);
    return { buffer: name, firstColumn, rows, ...columnsOf(this.cut, node.output) };
  }

  /** Opens the buffer that a node made in this segment writes into. */
  private openFor(node: Node, buffer: string, place: Place): void {
    const { segment, tileRows, inner, madeInside } = place;
    const joins = withJoins(this.cut, node.output, segment);
    const tensor = tensorOf(this.graph, joins.at(-1)!);
    const isOutput = this.graph.outputs.includes(tensor.name);
    if (madeInside.includes(node.output)) {
      this.openTile(node, buffer, place, inner!.tileRows);
      return;
    }
    const readers = realReaders(this.cut, tensor.name);
    if (isKeptApart(this.cut, tensor.name)) {
      this.open(buffer, 'tile', tensor, tileRows, this.nextCall);
      return;
    }
    if (readers.some(({ reads }) => reads === 'past')) {
      this.open(buffer, 'state', tensor, this.options.maxTokens, this.nextCall);
      return;
    }
    const staysInside =
      !isOutput &&
      readers.every(
        ({ reader, reads }) => reads === 'last' || this.segmentOf.get(reader.output) === segment,
      );
    const isOfTile = staysInside && tensor.shape[0] === this.segments[segment]!.rows;
    if (
      isOfTile ||
      isConsumed(this.cut.graph, tensor.name, this.cut.options.tileRows) ||
      isRecomputed(this.cut, node.output)
    ) {
      if (joins.length === 1) this.openTile(node, buffer, place, tileRows);
      else this.open(buffer, 'tile', tensor, tileRows, this.nextCall);
      return;
    }
    const rows = rowsOf(tensor.shape[0], this.options.maxTokens);
    const kind = isOutput ? 'output' : 'whole';
    const overwritten = overwrittenBy(this.cut, this.buffers, tensor, segment, node);
    this.open(buffer, kind, tensor, rows, this.nextCall);
    if (overwritten !== null) this.overwrite(overwritten, buffer);
  }

  /** Of a tensor that is no part of a join. */
  private openTile(node: Node, buffer: string, place: Place, rows: number): void {
    const overwritten = overwrittenTile(this.cut, this.buffers, node, place);
    this.open(buffer, 'tile', tensorOf(this.graph, node.output), rows, this.nextCall);
    if (overwritten !== null) this.overwrite(overwritten, buffer);
  }

  /** Puts a dying buffer at the end of the result's bytes. */
  private overwrite(dying: OpenBuffer, name: string): void {
    const result = this.buffers.get(name)!;
    dying.overwrittenBy = { name, offsetBytes: result.sizeBytes - dying.sizeBytes };
  }

  private open(
    name: string,
    kind: BufferKind,
    tensor: Pick<Tensor, 'dtype' | 'shape'>,
    rows: number,
    firstCall: number,
    ring: Ring | null = null,
  ): void {
    const columns = tensor.shape[1];
    const sizeBytes = this.roomBytes(kind, rows, columns * dtypes[tensor.dtype].bytes);
    this.buffers.set(name, {
      kind,
      turned: kind === 'state' && isTurned(this.cut, name),
      dtype: tensor.dtype,
      rows,
      ring,
      columns,
      sizeBytes,
      firstCall,
      lastCall: firstCall,
      tensors: [],
      overwrittenBy: null,
    });
  }

  /** An NPU takes whole tiles, and addresses that are multiples of 16. */
  private roomBytes(kind: BufferKind, rows: number, rowBytes: number): number {
    if (this.options.npu == null) return rows * rowBytes;
    if (rows === 1) return roundUp(rowBytes, npuAlignment);
    const isOfTile = kind === 'tile' || kind === 'scratch';
    const { tileRows } = this.options;
    const whole = isOfTile ? rows : roundUp(rows, Math.min(tileRows, rows));
    return roundUp(whole, npuAlignment) * rowBytes;
  }

  private touch(call: Call): void {
    for (const name of slotBuffers(call)) {
      const buffer = this.buffers.get(name)!;
      buffer.firstCall = Math.min(buffer.firstCall, this.nextCall);
      buffer.lastCall = Math.max(buffer.lastCall, this.nextCall);
    }
    this.nextCall += 1;
  }

  get lastCall(): number {
    return this.nextCall - 1;
  }
}

/** Columns are a multiple of so many rows apart: whole vectors of any core. */
const turnedRows = 16;

/** The buffer in which rows are made that are then kept elsewhere. */
function ownRows(name: string): string {
  return `${name}~rows`;
}

function slotBuffers({ inputs, output, scratch, carry }: Call): string[] {
  const slots = [...inputs, output].map((slot) => slot?.buffer ?? null);
  return [...slots, scratch, carry].filter((name) => name !== null);
}

function copy(from: Slot, output: Slot): Call {
  const nothing = {
    ...{ node: null, scratch: null, carry: null, inner: null, onlyFirst: false },
    ...{ job: null, attention: null },
  };
  return { ...nothing, inputs: [from], output };
}
