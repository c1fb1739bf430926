/**
 * Cuts a graph into segments: loops over row tiles, each running a chain of ops on one tile before
 * the next tile begins, so that nothing between the ops of a chain is ever stored for all rows.
 *
 * A cut is forced where an op needs all rows of an operand (attention's keys and values). The makers
 * of such operands get a segment of their own, right before the op that needs them, if what they read
 * is kept for other readers anyway: keys and values of a head group then live no longer than their
 * attention. Everything else joins the segment of what it depends on.
 *
 * An op that reads only the rows up to its own needs no cut: they were made by this tile or by an
 * earlier one. So a whole decoder is one segment, whose tiles may come in any number of runs.
 *
 * An op that streams needs no cut. If what it reads whole is made again from the inputs, it gets a loop
 * of its own inside the tile; if it gives one row, it takes the tiles as they are made.
 */
import { internalError } from '../errors.ts';
import { type Dim, type Graph, type Node, readersOf, type Stage, tensorOf } from '../ir/graph.ts';
import { producersOf } from '../ir/rewrite.ts';
import { operandOf, opOf } from '../ops/index.ts';
import type { Reads } from '../ops/op.ts';
import { sourceNodes } from '../passes/source-rows.ts';

export interface Segment {
  /**
   * Rows of its loop: one, or all tokens. In a loop over tokens, what makes one row runs in the first
   * tile, but for a stream, which takes every tile.
   */
  readonly rows: Dim;
  readonly steps: readonly Step[];
}

/** A node, or the loop inside a tile that a streaming node takes its blocks from. */
export type Step =
  | { readonly kind: 'node'; readonly node: Node }
  | { readonly kind: 'stream'; readonly makers: readonly Node[]; readonly node: Node };

export interface CutOptions {
  /** Rows of a tile of segments over all tokens. */
  readonly tileRows: number;
  /**
   * What can be made again from the inputs alone (embedded tokens) is made in every segment that
   * reads it, and kept in none.
   */
  readonly recomputeInputs: boolean;
}

export function nodesOf({ steps }: Segment): readonly Node[] {
  return steps.flatMap((step) =>
    step.kind === 'node' ? [step.node] : [...step.makers, step.node],
  );
}

export function cutSegments(graph: Graph<Stage>, options: CutOptions): readonly Segment[] {
  const segments = new Cutter(graph, options).cut().map(({ rows, nodes }) => ({
    rows,
    steps: options.recomputeInputs ? recomputed(graph, nodes) : nodes.map(asStep),
  }));
  return segments.filter(({ steps }) => steps.length > 0);
}

function asStep(node: Node): Step {
  return { kind: 'node', node };
}

/** A node made again stands in several segments, each time before its first reader there. */
function recomputed(graph: Graph<Stage>, nodes: readonly Node[]): readonly Step[] {
  const cheap = graph.nodes.filter((node) => canRecompute(graph, node));
  const made = new Set<Node>();
  return nodes.flatMap((node): Step[] => {
    if (cheap.includes(node)) return [];
    const makersOf = (reads: 'row' | 'all'): Node[] => {
      const wanted = new Set(node.inputs.filter((_, index) => readsAs(node, index) === reads));
      const makers = cheap.toReversed().filter(({ output, inputs }) => {
        if (!wanted.has(output)) return false;
        for (const name of inputs) wanted.add(name);
        return true;
      });
      return makers.reverse();
    };
    const before = makersOf('row').filter((maker) => !made.has(maker));
    for (const maker of before) made.add(maker);
    const makers = makersOf('all');
    const own: Step = makers.length > 0 ? { kind: 'stream', makers, node } : asStep(node);
    return [...before.map(asStep), own];
  });
}

function readsAs(node: Node, index: number): Reads {
  return operandOf(node.op, index).reads;
}

/** Whether rows read those before them: what they read must be kept from run to run. */
export function readsPast(graph: Graph<Stage>): boolean {
  return graph.nodes.some((node) =>
    node.inputs.some((_, index) => readsAs(node, index) === 'past'),
  );
}

/** Made from inputs and constants alone, and read row by row or as a stream only. */
export function canRecompute(graph: Graph<Stage>, node: Node): boolean {
  if (!sourceNodes(graph).has(node) || graph.outputs.includes(node.output)) return false;
  return (readersOf(graph).get(node.output) ?? []).every((index) => {
    const reader = graph.nodes[index]!;
    return reader.inputs.every(
      (name, operand) =>
        name !== node.output ||
        readsAs(reader, operand) === 'row' ||
        (opOf(reader.op).streaming !== undefined && isOverTokens(graph, reader)),
    );
  });
}

function isOverTokens(graph: Graph<Stage>, node: Node): boolean {
  return tensorOf(graph, node.output).shape[0] === 'tokens';
}

/**
 * True if a tensor of all tokens needs to exist a tile at a time only: one-row streams read it, whose
 * blocks its tiles are multiples of, and perhaps its first row, from which what those streams need
 * besides is made.
 */
export function isConsumed(graph: Graph<Stage>, name: string, tileRows: number): boolean {
  const producers = producersOf(graph);
  const maker = producers.get(name);
  if (maker === undefined || tensorOf(graph, name).shape[0] !== 'tokens') return false;
  if (opOf(maker.op).isView || graph.outputs.includes(name)) return false;
  const readers = (readersOf(graph).get(name) ?? []).map((index) => graph.nodes[index]!);
  const streams = readers.filter(({ op }) => opOf(op).streaming !== undefined);
  /** One row that depends on nothing but constants and the first row. */
  const isFromFirstRow = (other: string): boolean => {
    const node = producers.get(other);
    if (node === undefined) return tensorOf(graph, other).role === 'constant';
    if (node.op === 'selectRow') return node.inputs[0] === name && node.attrs.which === 'first';
    return !isOverTokens(graph, node) && node.inputs.every(isFromFirstRow);
  };
  return (
    streams.length > 0 &&
    streams.every(
      (stream) =>
        !isOverTokens(graph, stream) &&
        tileRows % opOf(stream.op).streaming!.blockRows === 0 &&
        stream.inputs.every((input) => input === name || isFromFirstRow(input)),
    ) &&
    readers.every(
      (reader) =>
        streams.includes(reader) || (reader.op === 'selectRow' && reader.attrs.which === 'first'),
    )
  );
}

interface OpenSegment {
  readonly rows: Dim;
  readonly nodes: Node[];
  /** What the node that began it reads whole: others that read no more than that may join. */
  readonly whole: readonly string[];
}

/** The state of one cut, which puts every node into a segment; views that need no copy into none. */
class Cutter {
  private readonly graph: Graph<Stage>;
  private readonly tileRows: number;
  private readonly producers: ReadonlyMap<string, Node>;
  private readonly readers: ReadonlyMap<string, readonly number[]>;
  private readonly placed = new Set<string>();
  private readonly segments: OpenSegment[] = [];

  constructor(graph: Graph<Stage>, { tileRows }: CutOptions) {
    this.graph = graph;
    this.tileRows = tileRows;
    this.producers = producersOf(graph);
    this.readers = readersOf(graph);
  }

  cut(): readonly OpenSegment[] {
    const { graph } = this;
    for (const node of graph.nodes) {
      const whole = this.operands(node, 'all');
      if (whole.length === 0 || this.placed.has(node.output)) continue;
      const consumed = whole.find((name) => isConsumed(graph, name, this.tileRows));
      if (consumed === undefined) this.placeBarrier(node, whole);
      else this.consume(consumed);
    }
    for (const name of graph.outputs) if (this.isNeeded(name)) this.place(this.makerOf(name));
    return this.segments;
  }

  private operands(node: Node, ...reads: readonly Reads[]): readonly string[] {
    return node.inputs.filter((_, index) => reads.includes(readsAs(node, index)));
  }

  private isNeeded(name: string): boolean {
    return this.producers.has(name) && !this.placed.has(name);
  }

  private makerOf(name: string): Node {
    return this.producers.get(name)!;
  }

  private open(rows: Dim, whole: readonly string[] = []): void {
    this.segments.push({ rows, nodes: [], whole });
  }

  /** And, when it is the last of the parts that a view joins, the view: parts need not wait apart. */
  private append(node: Node): void {
    this.segments.at(-1)!.nodes.push(node);
    this.placed.add(node.output);
    for (const index of this.readers.get(node.output) ?? []) {
      const reader = this.graph.nodes[index]!;
      if (reader.op === 'concat' && reader.inputs.every((name) => this.placed.has(name))) {
        this.append(reader);
      }
    }
  }

  /** Appends a node after what its tile reads; operands read as a whole are there already. */
  private place(node: Node): void {
    if (this.placed.has(node.output)) return;
    for (const name of this.operands(node, 'row', 'past')) {
      if (this.isNeeded(name)) this.place(this.makerOf(name));
    }
    for (const name of this.operands(node, 'all')) {
      if (this.isNeeded(name)) {
        throw internalError(`'${name}' is needed whole before it is made`, node.name);
      }
    }
    const rows = tensorOf(this.graph, node.output).shape[0];
    const current = this.segments.at(-1);
    if (current === undefined || (current.rows !== rows && !opOf(node.op).isView)) this.open(rows);
    this.append(node);
  }

  /** A node that reads `whole` tensors begins a segment, after all that makes those. */
  private placeBarrier(node: Node, whole: readonly string[]): void {
    this.placeMakers(whole.filter((name) => this.isNeeded(name)).map((name) => this.makerOf(name)));
    if (opOf(node.op).isView) {
      this.placed.add(node.output); // a row of a kept tensor: nothing to compute
      return;
    }
    const { shape } = tensorOf(this.graph, node.output);
    const current = this.segments.at(-1);
    if (current?.rows === shape[0] && whole.every((name) => current.whole.includes(name))) {
      this.placeReadersOf(current, node);
    } else {
      this.open(shape[0], whole);
    }
    this.place(node);
  }

  /** Those that read what is kept for others too get a segment of their own. */
  private placeMakers(makers: readonly Node[]): void {
    const separate: Node[] = [];
    for (const maker of makers) {
      const sources = maker.inputs.filter(
        (name) => tensorOf(this.graph, name).role === 'activation',
      );
      const isKept = (name: string): boolean =>
        (this.readers.get(name) ?? []).some((index) => !makers.includes(this.graph.nodes[index]!));
      if (sources.length > 0 && sources.every(isKept)) {
        for (const name of sources) if (this.isNeeded(name)) this.place(this.makerOf(name));
        separate.push(maker);
      } else this.place(maker);
    }
    if (separate.length === 0) return;
    this.open(tensorOf(this.graph, separate[0]!.output).shape[0]);
    for (const maker of separate) this.place(maker);
  }

  /** What a segment's tiles so far are wanted for, so that they need not wait for `next`. */
  private placeReadersOf({ nodes }: OpenSegment, next: Node): void {
    const made = new Set(nodes.map(({ output }) => output));
    for (const node of this.graph.nodes.slice(0, this.graph.nodes.indexOf(next))) {
      const reads = this.operands(node, 'row').filter(
        (name) => tensorOf(this.graph, name).role === 'activation',
      );
      if (!this.isNeeded(node.output) || reads.length === 0) continue;
      if (!opOf(node.op).isView && reads.every((name) => made.has(name))) this.place(node);
    }
  }

  /** A tensor's one-row readers join the segment that makes it, with all that they need. */
  private consume(name: string): void {
    this.place(this.makerOf(name));
    for (const index of this.readers.get(name) ?? []) {
      this.appendFromFirstRow(this.graph.nodes[index]!);
    }
  }

  private appendFromFirstRow(node: Node): void {
    if (this.placed.has(node.output)) return;
    for (const name of node.inputs) {
      if (this.isNeeded(name)) this.appendFromFirstRow(this.makerOf(name));
    }
    this.append(node);
  }
}
