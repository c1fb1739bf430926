/**
 * The range of what is made of a table's rows alone: every row is known, so that no token is clipped
 * because calibration texts did not contain it.
 */
import { constantMatrix } from '../emulate/interpreter.ts';
import { denseMatrix, type Graph, type Matrix, type Node, tensorOf } from '../ir/graph.ts';
import { opOf } from '../ops/index.ts';
import { sourceNodes } from '../passes/source-rows.ts';

export interface Range {
  readonly min: number;
  readonly max: number;
}

/** By tensor. */
export function tableRanges(graph: Graph<'float'>): ReadonlyMap<string, Range> {
  const tables = new Map<string, Matrix>();
  for (const node of graph.nodes) {
    if (!sourceNodes(graph).has(node)) continue;
    const table =
      opOf(node.op).table === undefined ? derived(graph, node, tables) : whole(graph, node);
    if (table !== null) tables.set(node.output, table);
  }
  return new Map([...tables].map(([name, table]) => [name, rangeOf(table)]));
}

/** All rows that an op with a table can make. */
function whole(graph: Graph<'float'>, node: Node<'float'>): Matrix {
  const op = opOf(node.op);
  const rows = op.table!.rows(node.inputs.map((name) => tensorOf(graph, name)));
  const ids = denseMatrix(
    Uint16Array.from({ length: rows }, (_, row) => row),
    rows,
    1,
  );
  const inputs = node.inputs.map((name) =>
    tensorOf(graph, name).role === 'input' ? ids : constantMatrix(graph, name),
  );
  return evaluated(graph, node, inputs, rows);
}

/** All rows that become of those of tables; null where it is another kind of row. */
function derived(
  graph: Graph<'float'>,
  node: Node<'float'>,
  tables: ReadonlyMap<string, Matrix>,
): Matrix | null {
  if (opOf(node.op).readsIndex === true) return null;
  const [rows] = node.inputs.flatMap((name) => tables.get(name)?.rows ?? []);
  if (rows === undefined) return null;
  const inputs = node.inputs.map((name) => tables.get(name) ?? constantMatrix(graph, name));
  return evaluated(graph, node, inputs, rows);
}

function evaluated(
  graph: Graph<'float'>,
  { op, attrs, output }: Node<'float'>,
  inputs: readonly Matrix[],
  rows: number,
): Matrix {
  const columns = tensorOf(graph, output).shape[1];
  const out = denseMatrix(new Float32Array(rows * columns), rows, columns);
  opOf(op).evalFloat(inputs, attrs, out, { tokens: rows, rowStart: 0 });
  return out;
}

function rangeOf({ data }: Matrix): Range {
  let min = 0;
  let max = 0;
  for (const value of data) {
    if (value < min) min = value;
    else if (value > max) max = value;
  }
  return { min, max };
}
