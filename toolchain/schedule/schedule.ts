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
import {
  type Graph,
  type Node,
  readersOf,
  rowsOf,
  type Stage,
  type Tensor,
  tensorOf,
} from '../ir/graph.ts';
import { producersOf } from '../ir/rewrite.ts';
import type { Ring } from '../ops/cache.ts';
import { operandOf, opOf } from '../ops/index.ts';
import { type NpuTarget, npuAlignment } from './npu.ts';
import { layOutNpu } from './npu-layout.ts';
import { blocksOf, type OpenBuffer, placeBuffers } from './place-buffers.ts';
import type {
  BufferKind,
  Call,
  InnerLoop,
  Program,
  ProgramSegment,
  Slot,
  SlotRows,
} from './program.ts';
import {
  canRecompute,
  cutSegments,
  isConsumed,
  nodesOf,
  readsPast,
  type Segment,
  type Step,
} from './segments.ts';

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

/** Where a call stands. */
interface Place {
  readonly segment: number;
  /** Of the segment's tile. */
  readonly tileRows: number;
  /** Of the segment. */
  readonly step: number;
  readonly inner: InnerLoop | null;
  /** What the calls of the inner loop make, a block at a time. */
  readonly madeInside: readonly string[];
}

/** The state of one `schedule` call. */
class Layout {
  private readonly graph: Graph<Stage>;
  private readonly options: ScheduleOptions;
  private readonly segments: readonly Segment[];
  private readonly producers: ReadonlyMap<string, Node>;
  private readonly segmentOf = new Map<string, number>();
  readonly buffers = new Map<string, OpenBuffer>();
  private nextCall = 0;

  constructor(graph: Graph<Stage>, segments: readonly Segment[], options: ScheduleOptions) {
    this.graph = graph;
    this.options = options;
    this.segments = segments;
    this.producers = producersOf(graph);
    for (const [index, segment] of segments.entries()) {
      for (const node of nodesOf(segment)) this.segmentOf.set(node.output, index);
    }
    for (const name of graph.inputs) {
      const tensor = tensorOf(graph, name);
      const isIds = tensor.shape[0] === 'tokens';
      // Segment start, number of tokens, check; and the first token of the next run.
      const shape = isIds ? tensor.shape : ([1, readsPast(graph) ? 4 : 3] as const);
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
    const own = madeInside.map((name) => this.placeOf(name, inside).buffer);
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
    const onlyFirst = this.runsOnce(node, place);
    if (node.op === 'selectRow') return [this.keepRow(node, place, onlyFirst)];
    const copies = this.beginJoin(node, place);
    const inputs = node.inputs.map((name, index) => this.inputSlot(node, name, index, place));
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
        ...this.columnsOf(name),
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
    if (!this.isTurned(node.output) || this.ringOf(node.output) !== null) return [];
    const from = this.outputSlot(node, place);
    this.openState(node.output, this.options.maxTokens, null);
    const call = copy(from, { ...from, buffer: node.output });
    this.touch(call);
    return [call];
  }

  private openState(name: string, rows: number, ring: Ring | null): void {
    const whole = this.isTurned(name) ? roundUp(rows, turnedRows) : rows;
    this.open(name, 'state', tensorOf(this.graph, name), whole, this.nextCall, ring);
  }

  /** What keeps some rows only of a tensor. */
  private ringOf(name: string): Ring | null {
    const rings = (readersOf(this.graph).get(name) ?? []).flatMap((index) => {
      const { op, attrs } = this.graph.nodes[index]!;
      return opOf(op).cache?.(attrs) ?? [];
    });
    return rings[0] ?? null;
  }

  /** Its rows are made in a buffer of their own, and then go where they are kept. */
  private isKeptApart(name: string): boolean {
    const isPast = this.realReaders(name).some(({ reads }) => reads === 'past');
    return isPast && (this.isTurned(name) || this.ringOf(name) !== null);
  }

  private isTurned(name: string): boolean {
    return (readersOf(this.graph).get(name) ?? []).some((index) => {
      const { op, inputs } = this.graph.nodes[index]!;
      return inputs.some((input, operand) => input === name && operandOf(op, operand).turned);
    });
  }

  /** In a loop over tokens, all that makes one row but what takes every tile. */
  private runsOnce(node: Node, { segment }: Place): boolean {
    const isOneRow = tensorOf(this.graph, node.output).shape[0] === 1;
    const takesTiles = opOf(node.op).streaming !== undefined;
    return isOneRow && this.segments[segment]!.rows === 'tokens' && !takesTiles;
  }

  /** Copies the first row of a tensor of which only tiles exist. */
  private keepRow(node: Node, place: Place, onlyFirst: boolean): Call {
    const source = node.inputs[0]!;
    const from: Slot = {
      ...this.placeOf(source, place),
      rows: 'first',
      ...this.columnsOf(source),
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
    const { buffer } = this.placeOf(node.output, place);
    const isPart = this.joinOf(node.output, place.segment) !== null;
    if ((node.op !== 'concat' && !isPart) || this.buffers.has(buffer)) return [];
    this.openFor(node, buffer, place);
    return nodesOf(this.segments[place.segment]!)
      .filter(({ op, output }) => op === 'concat' && this.placeOf(output, place).buffer === buffer)
      .flatMap((join) =>
        this.copiesInto(join, place, (part) => this.segmentOf.get(part) !== place.segment),
      );
  }

  /** Most parts are in their join by then; those that others read too are copied. */
  private endJoin(join: Node, place: Place): Call[] {
    const copies = this.beginJoin(join, place);
    const isApart = (part: string): boolean =>
      this.segmentOf.get(part) === place.segment && this.joinOf(part, place.segment) === null;
    return [...copies, ...this.copiesInto(join, place, isApart)];
  }

  private copiesInto(join: Node, place: Place, isCopied: (part: string) => boolean): Call[] {
    const rows = this.rowsOfSlot(join.output, 'row', place);
    const whole = this.placeOf(join.output, place);
    let firstColumn = whole.firstColumn;
    const calls: Call[] = [];
    for (const name of join.inputs) {
      const { columns } = this.columnsOf(name);
      if (isCopied(name)) {
        const from = this.slotOf(name, 'row', place);
        calls.push(copy(from, { buffer: whole.buffer, rows, firstColumn, columns }));
      }
      firstColumn += columns;
    }
    for (const call of calls) this.touch(call);
    return calls;
  }

  /** The join that a tensor is a part of, if both are made in the segment. */
  private joinOf(name: string, segment: number): Node | null {
    const indexes = readersOf(this.graph).get(name) ?? [];
    if (indexes.length !== 1 || this.segmentOf.get(name) !== segment) return null;
    const reader = this.graph.nodes[indexes[0]!]!;
    return reader.op === 'concat' && this.segmentOf.get(reader.output) === segment ? reader : null;
  }

  /** A tensor and the joins that it lies in, inside out. */
  private withJoins(name: string, segment: number): readonly string[] {
    const join = this.joinOf(name, segment);
    return join === null ? [name] : [name, ...this.withJoins(join.output, segment)];
  }

  private columnsOf(name: string): { readonly columns: number } {
    return { columns: tensorOf(this.graph, name).shape[1] };
  }

  private inputSlot(node: Node, name: string, index: number, place: Place): Slot | null {
    const { reads } = operandOf(node.op, index);
    const isConstant = tensorOf(this.graph, name).role === 'constant';
    return (reads === 'row' || reads === 'all' || reads === 'past') && !isConstant
      ? this.slotOf(name, reads, place)
      : null;
  }

  private slotOf(name: string, reads: 'row' | 'all' | 'past', place: Place): Slot {
    const source = this.producers.get(name);
    if (source?.op === 'selectRow' && !this.isConsumed(source.inputs[0]!)) {
      return { ...this.slotOf(source.inputs[0]!, 'all', place), rows: source.attrs.which };
    }
    const rows = this.rowsOfSlot(name, reads, place);
    return { ...this.placeOf(name, place), rows, ...this.columnsOf(name) };
  }

  private rowsOfSlot(
    name: string,
    reads: 'row' | 'all' | 'past',
    { inner, madeInside }: Place,
  ): SlotRows {
    if (tensorOf(this.graph, name).shape[0] === 1) return 'first';
    if (reads === 'past') return 'past';
    if (madeInside.includes(name)) return 'tile';
    if (reads === 'all') return this.isConsumed(name) ? 'tile' : 'all';
    const isInput = tensorOf(this.graph, name).role === 'input';
    return inner?.over === 'tokens' && !isInput ? 'outer' : 'tile';
  }

  private isConsumed(name: string): boolean {
    return isConsumed(this.graph, name, this.options.tileRows);
  }

  /** Which columns of which buffer hold a tensor, as a call sees it. */
  private placeOf(
    name: string,
    place: Pick<Place, 'segment' | 'inner' | 'madeInside'>,
  ): Pick<Slot, 'buffer' | 'firstColumn'> {
    const { segment, inner, madeInside } = place;
    if (madeInside.includes(name)) {
      return { buffer: `${name}~${segment}.${inner!.index}`, firstColumn: 0 };
    }
    if (this.isRecomputed(name)) return { buffer: `${name}~${segment}`, firstColumn: 0 };
    const join = this.joinOf(name, this.segmentOf.get(name) ?? segment);
    if (join === null) return { buffer: name, firstColumn: 0 };
    const whole = this.placeOf(join.output, place);
    const before = join.inputs.slice(0, join.inputs.indexOf(name));
    const columns = before.reduce((sum, part) => sum + this.columnsOf(part).columns, 0);
    return { ...whole, firstColumn: whole.firstColumn + columns };
  }

  private isRecomputed(name: string): boolean {
    const source = this.producers.get(name);
    return this.options.recomputeInputs && source !== undefined && canRecompute(this.graph, source);
  }

  private outputSlot(node: Node, place: Place): Slot {
    const { buffer: own, firstColumn } = this.placeOf(node.output, place);
    const name = this.isKeptApart(node.output) ? ownRows(own) : own;
    if (!this.buffers.has(name)) this.openFor(node, name, place);
    const buffer = this.buffers.get(name)!;
    for (const one of this.withJoins(node.output, place.segment))
      if (!buffer.tensors.includes(one)) buffer.tensors.push(one);
    const rows = this.rowsOfSlot(node.output, 'row', place);
    return { buffer: name, firstColumn, rows, ...this.columnsOf(node.output) };
  }

  /** Opens the buffer that a node made in this segment writes into. */
  private openFor(node: Node, buffer: string, place: Place): void {
    const { segment, tileRows, inner, madeInside } = place;
    const joins = this.withJoins(node.output, segment);
    const tensor = tensorOf(this.graph, joins.at(-1)!);
    const isOutput = this.graph.outputs.includes(tensor.name);
    if (madeInside.includes(node.output)) {
      this.openTile(node, buffer, place, inner!.tileRows);
      return;
    }
    const readers = this.realReaders(tensor.name);
    if (this.isKeptApart(tensor.name)) {
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
    if (isOfTile || this.isConsumed(tensor.name) || this.isRecomputed(node.output)) {
      if (joins.length === 1) this.openTile(node, buffer, place, tileRows);
      else this.open(buffer, 'tile', tensor, tileRows, this.nextCall);
      return;
    }
    const rows = rowsOf(tensor.shape[0], this.options.maxTokens);
    const kind = isOutput ? 'output' : 'whole';
    const overwritten = this.overwrittenBy(tensor, segment, node);
    this.open(buffer, kind, tensor, rows, this.nextCall);
    if (overwritten !== null) this.overwrite(overwritten, buffer);
  }

  /** Of a tensor that is no part of a join. */
  private openTile(node: Node, buffer: string, place: Place, rows: number): void {
    const overwritten = this.overwrittenTile(node, place);
    this.open(buffer, 'tile', tensorOf(this.graph, node.output), rows, this.nextCall);
    if (overwritten !== null) this.overwrite(overwritten, buffer);
  }

  /** Puts a dying buffer at the end of the result's bytes. */
  private overwrite(dying: OpenBuffer, name: string): void {
    const result = this.buffers.get(name)!;
    dying.overwrittenBy = { name, offsetBytes: result.sizeBytes - dying.sizeBytes };
  }

  /** The tile of an operand that nothing reads after `node`, which may write its rows over it. */
  private overwrittenTile(node: Node, place: Place): OpenBuffer | null {
    const { segment } = place;
    if (opOf(node.op).overwritesRows !== true) return null;
    const { dtype, shape } = tensorOf(this.graph, node.output);
    const nodes = nodesOf(this.segments[segment]!);
    const position = nodes.indexOf(node);
    for (const [index, name] of node.inputs.entries()) {
      if (operandOf(node.op, index).reads !== 'row') continue;
      const buffer = this.buffers.get(this.placeOf(name, place).buffer);
      if (buffer?.kind !== 'tile' || buffer.overwrittenBy !== null) continue;
      if (buffer.tensors.length !== 1 || buffer.tensors[0] !== name) continue;
      if (buffer.dtype !== dtype || buffer.columns !== shape[1]) continue;
      const diesHere = this.realReaders(name).every(
        ({ reader, reads }) =>
          reads !== 'last' &&
          (this.segmentOf.get(reader.output) !== segment ||
            (reads === 'row' && nodes.indexOf(reader) <= position)),
      );
      if (diesHere) return buffer;
    }
    return null;
  }

  /**
   * The widest buffer, no wider than the result, whose tensors die in this segment, are read row by
   * row only, and not after `node` has written a tile of its result.
   */
  private overwrittenBy(tensor: Tensor, segment: number, node: Node): OpenBuffer | null {
    if (tensor.shape[0] !== 'tokens') return null;
    const nodes = nodesOf(this.segments[segment]!);
    const position = nodes.indexOf(node);
    const joins = new Set(this.withJoins(node.output, segment).slice(1));
    let widest: OpenBuffer | null = null;
    for (const buffer of this.buffers.values()) {
      if (buffer.kind !== 'whole' || buffer.overwrittenBy !== null) continue;
      if (buffer.dtype !== tensor.dtype || buffer.columns > tensor.shape[1]) continue;
      if (buffer.columns <= (widest?.columns ?? 0)) continue;
      const isSameWidth = buffer.columns === tensor.shape[1];
      const readers = buffer.tensors
        .flatMap((name) => this.realReaders(name))
        .filter(({ reader }) => this.segmentOf.get(reader.output)! >= segment);
      const readBeforeItsRowsAreWritten = readers.every(
        ({ reader, reads }) =>
          reads === 'row' &&
          this.segmentOf.get(reader.output) === segment &&
          (nodes.indexOf(reader) < position ||
            joins.has(reader.output) || // copied into the join before any part is written
            (reader === node &&
              isSameWidth &&
              joins.size === 0 &&
              opOf(node.op).overwritesRows === true)),
      );
      if (readers.length > 0 && readBeforeItsRowsAreWritten) widest = buffer;
    }
    return widest;
  }

  /** Readers of a tensor, looking through row selections. */
  private realReaders(name: string): { reader: Node; reads: string }[] {
    return (readersOf(this.graph).get(name) ?? []).flatMap((index) => {
      const reader = this.graph.nodes[index]!;
      if (reader.op === 'selectRow' && !this.isConsumed(name)) {
        const reads = reader.attrs.which === 'last' ? 'last' : 'all';
        return this.realReaders(reader.output).map((one) => ({ ...one, reads }));
      }
      return reader.inputs.flatMap((input, operand) =>
        input === name ? [{ reader, reads: operandOf(reader.op, operand).reads as string }] : [],
      );
    });
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
      turned: kind === 'state' && this.isTurned(name),
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
