/**
 * Realises a plan in bytes and offsets: segments become calls on buffers, buffers get a place.
 *
 * A tensor made and read inside one segment needs a buffer of one tile; any other needs all its rows.
 * A segment's result takes the place of a tensor that dies in it, row by row (the residual stream is
 * never stored twice). The tensor may have fewer columns: it then lies at the result's end, where its
 * rows are read before the result's rows reach them:
 *
 *   result   | row 0 | row 1 | row 2 | row 3 |         row r ends at d·(r + 1)
 *   dying            | 0  | 1  | 2  | 3  | …           row r begins at (d − c)·rows + c·r
 */
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
import { operandOf, opOf } from '../ops/index.ts';
import { type Block, planArena } from './arena.ts';
import type { Buffer, BufferKind, Call, Program, ProgramSegment, Slot } from './program.ts';
import { canRecompute, cutSegments, type Segment } from './segments.ts';

export type ScratchBytes = (graph: Graph<Stage>, node: Node) => number;

export interface ScheduleOptions {
  readonly maxTokens: number;
  readonly tileRows: number;
  readonly recomputeInputs: boolean;
  /** Scratch of one call of the kernel that will compute the node. */
  readonly scratchBytes: ScratchBytes;
}

/** `graph` may be of any stage: only shapes and dtypes count (a planner asks before quantization). */
export function schedule(graph: Graph<Stage>, options: ScheduleOptions): Program {
  const segments = cutSegments(graph, options);
  const layout = new Layout(graph, segments, options);
  const programSegments = segments.map((segment, index) => layout.segment(segment, index));
  const placed = layout.place();
  return {
    graph: graph as Graph<'legal'>,
    maxTokens: options.maxTokens,
    segments: programSegments,
    ...placed,
  };
}

/** Room for text (a token of English is some 5 bytes), or for token ids as int32. */
const textBytesPerToken = 8;

interface OpenBuffer {
  readonly kind: BufferKind;
  readonly dtype: Tensor['dtype'];
  readonly rows: number;
  readonly columns: number;
  readonly sizeBytes: number;
  firstCall: number;
  lastCall: number;
  /** The tensors in it, side by side. */
  readonly tensors: string[];
  /** The result that overwrites it row by row, at this many bytes behind the result's begin. */
  overwrittenBy: { readonly name: string; readonly offsetBytes: number } | null;
}

/** The state of one `schedule` call. */
class Layout {
  private readonly graph: Graph<Stage>;
  private readonly options: ScheduleOptions;
  private readonly segments: readonly Segment[];
  private readonly producers: ReadonlyMap<string, Node>;
  private readonly segmentOf = new Map<string, number>();
  private readonly buffers = new Map<string, OpenBuffer>();
  private nextCall = 0;

  constructor(graph: Graph<Stage>, segments: readonly Segment[], options: ScheduleOptions) {
    this.graph = graph;
    this.options = options;
    this.segments = segments;
    this.producers = producersOf(graph);
    for (const [index, segment] of segments.entries()) {
      for (const node of segment.nodes) this.segmentOf.set(node.output, index);
    }
    for (const name of graph.inputs) {
      const tensor = tensorOf(graph, name);
      const isIds = tensor.shape[0] === 'tokens';
      const shape = isIds ? tensor.shape : ([1, 3] as const); // segment start, number of tokens, check
      this.open(name, 'input', { ...tensor, shape }, isIds ? options.maxTokens : 1, 0);
    }
  }

  segment(segment: Segment, index: number): ProgramSegment {
    const tileRows = Math.min(rowsOf(segment.rows, this.options.maxTokens), this.options.tileRows);
    const firstCall = this.nextCall;
    const calls: Call[] = [];
    for (const node of segment.nodes) calls.push(...this.callsFor(node, index, tileRows));
    const lastCall = this.nextCall - 1;
    // A loop comes back to its first call: what holds more than a tile is in use all through it.
    if (tileRows < rowsOf(segment.rows, this.options.maxTokens)) {
      for (const name of new Set(calls.flatMap(slotBuffers))) {
        const buffer = this.root(name);
        if (buffer.kind === 'tile' || buffer.kind === 'scratch') continue;
        buffer.firstCall = Math.min(buffer.firstCall, firstCall);
        buffer.lastCall = Math.max(buffer.lastCall, lastCall);
      }
    }
    return { name: segment.nodes.at(-1)!.name, rows: segment.rows, tileRows, calls };
  }

  private callsFor(node: Node, segment: number, tileRows: number): Call[] {
    if (node.op === 'concat') return this.joinColumns(node, segment);
    const inputs = node.inputs.map((name, index) => this.inputSlot(node, name, index, segment));
    const output = this.outputSlot(node, segment, tileRows);
    const scratchBytes = this.options.scratchBytes(this.graph, node);
    const scratch = scratchBytes > 0 ? `scratch:${node.output}` : null;
    if (scratch !== null) {
      this.buffers.set(scratch, {
        kind: 'scratch',
        dtype: 'uint8',
        rows: 1,
        columns: scratchBytes,
        sizeBytes: scratchBytes,
        firstCall: this.nextCall,
        lastCall: this.nextCall,
        tensors: [],
        overwrittenBy: null,
      });
    }
    const call = { node: node as Node<'legal'>, inputs, output, scratch };
    this.touch(call);
    return [call];
  }

  /** Parts made in this segment write into the joined tile themselves; earlier ones are copied. */
  private joinColumns(node: Node, segment: number): Call[] {
    const calls: Call[] = [];
    let firstColumn = 0;
    for (const name of node.inputs) {
      const { columns } = this.columnsOf(name);
      if (!this.writesIntoJoin(name, segment)) {
        const call: Call = {
          node: null,
          inputs: [this.slotOf(name, 'tile', segment)],
          output: { buffer: node.output, rows: 'tile', firstColumn, columns },
          scratch: null,
        };
        this.touch(call);
        calls.push(call);
      }
      firstColumn += columns;
    }
    return calls;
  }

  private writesIntoJoin(name: string, segment: number): boolean {
    return this.segmentOf.get(name) === segment && this.joinOf(name) !== null;
  }

  private joinOf(name: string): Node | null {
    const indexes = readersOf(this.graph).get(name) ?? [];
    if (indexes.length !== 1) return null;
    const reader = this.graph.nodes[indexes[0]!]!;
    return reader.op === 'concat' ? reader : null;
  }

  private columnsOf(name: string): { readonly columns: number } {
    return { columns: tensorOf(this.graph, name).shape[1] };
  }

  private inputSlot(node: Node, name: string, index: number, segment: number): Slot | null {
    const { reads } = operandOf(node.op, index);
    if (reads === 'constant' || reads === 'scalar') return null;
    return this.slotOf(name, reads === 'all' ? 'all' : 'tile', segment);
  }

  private slotOf(name: string, rows: 'tile' | 'all', segment: number): Slot {
    const source = this.producers.get(name);
    if (source?.op === 'selectRow') {
      return { ...this.slotOf(source.inputs[0]!, 'all', segment), rows: source.attrs.which };
    }
    return { ...this.placeOf(name, segment), rows, ...this.columnsOf(name) };
  }

  /** Which columns of which buffer hold a tensor, as a segment sees it. */
  private placeOf(name: string, segment: number): { buffer: string; firstColumn: number } {
    if (this.isRecomputed(name)) return { buffer: `${name}~${segment}`, firstColumn: 0 };
    const join = this.joinOf(name);
    if (join === null) return { buffer: name, firstColumn: 0 };
    const joinSegment = this.segmentOf.get(join.output);
    const isEarly = (part: string): boolean => this.segmentOf.get(part) !== joinSegment;
    const parts = join.inputs.filter((part) => isEarly(part) === isEarly(name));
    const before = isEarly(name) ? parts : join.inputs;
    let firstColumn = 0;
    for (const part of before) {
      if (part === name) break;
      firstColumn += this.columnsOf(part).columns;
    }
    return { buffer: isEarly(name) ? earlyParts(join) : join.output, firstColumn };
  }

  private isRecomputed(name: string): boolean {
    const source = this.producers.get(name);
    return this.options.recomputeInputs && source !== undefined && canRecompute(this.graph, source);
  }

  private outputSlot(node: Node, segment: number, tileRows: number): Slot {
    const place = this.placeOf(node.output, segment);
    if (!this.buffers.has(place.buffer)) this.openFor(node, place.buffer, segment, tileRows);
    const buffer = this.buffers.get(place.buffer)!;
    const join = this.joinOf(node.output);
    const held = join === null ? [node.output] : [node.output, join.output];
    for (const name of held) if (!buffer.tensors.includes(name)) buffer.tensors.push(name);
    return { ...place, rows: 'tile', ...this.columnsOf(node.output) };
  }

  /** Opens the buffer that a node made in this segment writes into. */
  private openFor(node: Node, buffer: string, segment: number, tileRows: number): void {
    const join = this.joinOf(node.output);
    const isEarlyPart = join !== null && buffer === earlyParts(join);
    const tensor = tensorOf(this.graph, join !== null && !isEarlyPart ? join.output : node.output);
    const isOutput = this.graph.outputs.includes(tensor.name);
    const staysInside =
      !isOutput && this.readingSegments(tensor.name).every((one) => one === segment);
    if (staysInside || this.isRecomputed(node.output)) {
      this.open(buffer, 'tile', tensor, tileRows, this.nextCall);
      return;
    }
    const rows = rowsOf(tensor.shape[0], this.options.maxTokens);
    const kind = isOutput ? 'output' : 'whole';
    if (isEarlyPart) {
      const columns = join.inputs
        .filter((part) => this.segmentOf.get(part) !== this.segmentOf.get(join.output))
        .reduce((sum, part) => sum + this.columnsOf(part).columns, 0);
      const shape = [tensor.shape[0], columns] as const;
      this.open(buffer, kind, { ...tensor, shape }, rows, this.nextCall);
      return;
    }
    const overwritten = this.overwrittenBy(tensor, segment, node);
    this.open(buffer, kind, tensor, rows, this.nextCall);
    if (overwritten === null) return;
    const result = this.buffers.get(buffer)!;
    overwritten.overwrittenBy = {
      name: buffer,
      offsetBytes: result.sizeBytes - overwritten.sizeBytes,
    };
    result.firstCall = Math.min(result.firstCall, overwritten.firstCall);
  }

  /**
   * The widest buffer, no wider than the result, whose tensors die in this segment, are read row by
   * row only, and not after `node` has written a tile of its result.
   */
  private overwrittenBy(tensor: Tensor, segment: number, node: Node): OpenBuffer | null {
    if (tensor.shape[0] !== 'tokens') return null;
    const { nodes } = this.segments[segment]!;
    const position = nodes.indexOf(node);
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
            (reader === node && isSameWidth && opOf(node.op).overwritesRows === true)),
      );
      if (readers.length > 0 && readBeforeItsRowsAreWritten) widest = buffer;
    }
    return widest;
  }

  /** Readers of a tensor, looking through row selections. */
  private realReaders(name: string): { reader: Node; reads: string }[] {
    return (readersOf(this.graph).get(name) ?? []).flatMap((index) => {
      const reader = this.graph.nodes[index]!;
      if (reader.op === 'selectRow') {
        return this.realReaders(reader.output).map((one) => ({ ...one, reads: 'all' }));
      }
      const operand = reader.inputs.indexOf(name);
      return [{ reader, reads: operandOf(reader.op, operand).reads as string }];
    });
  }

  private readingSegments(name: string): number[] {
    return this.realReaders(name).map(({ reader }) => this.segmentOf.get(reader.output)!);
  }

  private open(
    name: string,
    kind: BufferKind,
    tensor: Tensor,
    rows: number,
    firstCall: number,
  ): void {
    const columns = tensor.shape[1];
    const sizeBytes = rows * columns * dtypes[tensor.dtype].bytes;
    this.buffers.set(name, {
      kind,
      dtype: tensor.dtype,
      rows,
      columns,
      sizeBytes,
      firstCall,
      lastCall: firstCall,
      tensors: [],
      overwrittenBy: null,
    });
  }

  private touch(call: Call): void {
    for (const name of slotBuffers(call)) {
      const buffer = this.root(name);
      buffer.firstCall = Math.min(buffer.firstCall, this.nextCall);
      buffer.lastCall = Math.max(buffer.lastCall, this.nextCall);
    }
    this.nextCall += 1;
  }

  /** The buffer whose bytes `name` uses. */
  private root(name: string): OpenBuffer {
    const buffer = this.buffers.get(name)!;
    return buffer.overwrittenBy === null ? buffer : this.root(buffer.overwrittenBy.name);
  }

  place(): Pick<Program, 'buffers' | 'arenaBytes' | 'textOffset' | 'lowerBoundBytes'> {
    const last = this.nextCall - 1;
    const roots = [...this.buffers].filter(([, { overwrittenBy }]) => overwrittenBy === null);
    const blocks = roots.map(
      ([name, buffer]): Block => ({
        sizeBytes: buffer.sizeBytes,
        first: buffer.kind === 'input' ? 0 : buffer.firstCall,
        last: this.holdsOutput(name) ? last : buffer.lastCall,
      }),
    );
    const { offsets, arenaBytes, textOffset, lowerBoundBytes } = this.bestPlaces(roots, blocks);
    const places = new Map(
      roots.map(([name], index) => [name, { block: blocks[index]!, offset: offsets[index]! }]),
    );
    const buffers: Record<string, Buffer> = {};
    for (const [name, buffer] of this.buffers) {
      let root = name;
      let offsetBytes = 0;
      for (let next = buffer.overwrittenBy; next !== null; ) {
        root = next.name;
        offsetBytes += next.offsetBytes;
        next = this.buffers.get(root)!.overwrittenBy;
      }
      const { block, offset } = places.get(root)!;
      const { kind, dtype, rows, columns, sizeBytes } = buffer;
      buffers[name] = {
        name,
        kind,
        dtype,
        rows,
        columns,
        sizeBytes,
        offset: offset + offsetBytes,
        firstCall: block.first,
        lastCall: block.last,
        sharesWith: root === name ? null : root,
      };
    }
    return { buffers, arenaBytes, textOffset, lowerBoundBytes };
  }

  /** Text lies behind the inputs; putting those lowest makes room for it, or costs a little. */
  private bestPlaces(roots: readonly [string, OpenBuffer][], blocks: readonly Block[]) {
    const inputs = [...roots.keys()].filter((index) => roots[index]![1].kind === 'input');
    const [plan, inputsLowest] = [[], inputs].map((lowest) => {
      const { offsets, sizeBytes, lowerBoundBytes } = planArena(blocks, lowest);
      const inputEnds = inputs.map((index) => offsets[index]! + blocks[index]!.sizeBytes);
      const textOffset = Math.ceil(Math.max(0, ...inputEnds) / 4) * 4;
      const withText = textOffset + textBytesPerToken * this.options.maxTokens;
      return { offsets, arenaBytes: Math.max(sizeBytes, withText), textOffset, lowerBoundBytes };
    });
    return inputsLowest!.arenaBytes < plan!.arenaBytes ? inputsLowest! : plan!;
  }

  private holdsOutput(name: string): boolean {
    return [...this.buffers].some(
      ([other, { kind }]) => kind === 'output' && this.root(other) === this.buffers.get(name),
    );
  }
}

/** The buffer of the parts of a join that earlier segments make, side by side. */
function earlyParts(join: Node): string {
  return `${join.output}~parts`;
}

function slotBuffers(call: Call): string[] {
  const slots = [...call.inputs, call.output].filter((slot) => slot !== null);
  return [...slots.map((slot) => slot.buffer), ...(call.scratch === null ? [] : [call.scratch])];
}
