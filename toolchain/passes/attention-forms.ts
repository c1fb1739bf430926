/**
 * Gives every attention the form that the plan has chosen (exact algebra).
 *
 * Stored: keys and values of a group of heads exist for all tokens, group after group; the outputs of
 * finished groups stand side by side. A middle layer's live set is S·d·(2 + 1/groups).
 *
 * Absorbed: neither keys nor values exist, but one head's queries are multiplied by the keys' weights,
 * and what they attend to is the layer's input itself. The constant q·bk is the same for every token
 * and leaves the softmax as it is; the weights P sum to one, so bv stays a bias. For a single query row
 * that costs next to nothing, for many it needs more multiplications and less memory. Weights that are
 * stored as integers stay so: the scales of rows of the keys' weights move to those of the queries'.
 */
import { internalError } from '../errors.ts';
import { nameOfHeads } from '../ir/derived-names.ts';
import { allocate } from '../ir/dtypes.ts';
import {
  type Graph,
  isConstant,
  type Node,
  realValues,
  type Stage,
  type Tensor,
  takeRows,
  tensorOf,
} from '../ir/graph.ts';
import { dropDead, producersOf } from '../ir/rewrite.ts';
import { widestInput } from '../ops/attend-inputs.ts';
import { hidesKeys } from '../ops/attention.ts';

export interface AttentionForm {
  /** The heads that are not absorbed come first, in so many groups of equal size. */
  readonly storedGroups: number;
  /** The last heads, one after the other. */
  readonly absorbedHeads: number;
}

/** Attention over keys and values, whose heads are column ranges. */
export type AttentionNode<S extends Stage = 'float'> = Node<S> & {
  readonly op: 'attention' | 'normalizedAttention';
};

export function isAttention<S extends Stage>(node: Node<S>): node is AttentionNode<S> {
  return node.op === 'attention' || node.op === 'normalizedAttention';
}

type LinearNode = Node<'float'> & { readonly op: 'linear' };

/**
 * attention(q, k, v) = concat of
 *   attention(q_g, k_g, v_g) of each group g, q_g = x·Wq_gᵀ + b_g
 *   attendInputs(q_h·Wk_h, x)·Wv_hᵀ + bv_h of each absorbed head h
 */
export function attentionForms(
  graph: Graph<'float'>,
  formOf: (node: AttentionNode) => AttentionForm,
): Graph<'float'> {
  const makers = producersOf(graph);
  const growing: Growing = { graph, tensors: { ...graph.tensors }, nodes: [] };
  for (const node of graph.nodes) {
    const sources = linearsOf(node, makers);
    const form = isAttention(node) ? formOf(node) : null;
    if (!isAttention(node) || form === null || sources === null || isPlain(form)) {
      growing.nodes.push(node);
      continue;
    }
    const { storedGroups, absorbedHeads } = form;
    const stored = (node.attrs.heads - absorbedHeads) / Math.max(1, storedGroups);
    const parts: string[] = [];
    for (let group = 0; group < storedGroups; group++) {
      const heads = { index: parts.length, first: group * stored, count: stored };
      parts.push(storedGroup(growing, node, sources, heads));
    }
    for (let head = node.attrs.heads - absorbedHeads; head < node.attrs.heads; head++) {
      const heads = { index: parts.length, first: head, count: 1 };
      parts.push(absorbedHead(growing, node, sources, heads));
    }
    joinParts(growing, node, parts);
  }
  return dropDead({ ...graph, nodes: growing.nodes, tensors: growing.tensors });
}

/** Side by side: the first two parts, those and the third, and so on, for they are made in that order. */
function joinParts(growing: Growing, node: AttentionNode, parts: readonly string[]): void {
  const { name } = node;
  const whole = tensorOf(growing, node.output);
  let inputs: readonly string[] = parts.slice(0, 2);
  for (let count = inputs.length; count <= parts.length; count++) {
    const columns = inputs.reduce((sum, part) => sum + tensorOf(growing, part).shape[1], 0);
    const output =
      count === parts.length
        ? node.output
        : addActivation(
            growing,
            nameOfHeads(node.output, `0-${count - 1}`),
            whole.shape[0],
            columns,
          );
    growing.nodes.push({ op: 'concat', name, inputs, output, attrs: {}, integer: null });
    inputs = [output, parts[count]!];
  }
}

function isPlain({ storedGroups, absorbedHeads }: AttentionForm): boolean {
  return storedGroups === 1 && absorbedHeads === 0;
}

/** Keys and values must come from the same input, and their sums must fit int32. */
export function canAbsorb(graph: Graph<'float'>, node: AttentionNode): boolean {
  const sources = linearsOf(node, producersOf(graph));
  if (sources === null || node.op !== 'attention' || hidesKeys(node.attrs)) return false;
  const [, k, v] = sources;
  return k.inputs[0] === v.inputs[0] && tensorOf(graph, k.inputs[0]!).shape[1] <= widestInput;
}

type Sources = readonly [q: LinearNode, k: LinearNode, v: LinearNode];

function linearsOf(
  node: Node<'float'>,
  makers: ReadonlyMap<string, Node<'float'>>,
): Sources | null {
  const sources = node.inputs.map((name) => makers.get(name));
  const isSources = isAttention(node) && sources.every((source) => source?.op === 'linear');
  return isSources ? (sources as unknown as Sources) : null;
}

/** A graph and what is being added to it. */
interface Growing {
  readonly graph: Graph<'float'>;
  readonly tensors: Record<string, Tensor>;
  readonly nodes: Node<'float'>[];
}

/** Heads `first` … `first + count − 1`, the part number `index` of the attention. */
interface HeadRange {
  readonly index: number;
  readonly first: number;
  readonly count: number;
}

function storedGroup(
  growing: Growing,
  node: AttentionNode,
  sources: Sources,
  heads: HeadRange,
): string {
  const inputs = sources.map((source) => linearOfHeads(growing, node, source, heads));
  const whole = tensorOf(growing.graph, node.output);
  const columns = (whole.shape[1] / node.attrs.heads) * heads.count;
  const output = addActivation(
    growing,
    nameOfHeads(node.output, heads.index),
    whole.shape[0],
    columns,
  );
  const attrs = { ...node.attrs, heads: heads.count };
  const name = nameOfHeads(node.name, heads.index);
  growing.nodes.push({ ...node, attrs, inputs, output, name } as AttentionNode);
  return output;
}

function absorbedHead(
  growing: Growing,
  node: AttentionNode,
  [q, k, v]: Sources,
  heads: HeadRange,
): string {
  const keys = sliceOfHeads(growing, k.inputs[1]!, 'rows', node, heads);
  const factors = rowFactors(constantOf(growing, keys));
  const query = linearOfHeads(growing, node, q, heads, factors);
  const unit = absorbKeys(growing, k, keys, query, heads);
  const [rows, width] = tensorOf(growing, unit).shape;
  const mixed = addActivation(
    growing,
    `${nameOfHeads(node.output, heads.index)}.mixed`,
    rows,
    width,
  );
  growing.nodes.push({
    op: 'attendInputs',
    name: nameOfHeads(node.name, heads.index),
    inputs: [unit, k.inputs[0]!],
    output: mixed,
    attrs: { heads: 1, scale: node.attrs.scale },
    integer: null,
  });
  return linearOfHeads(growing, node, { ...v, inputs: v.inputs.with(0, mixed) }, heads);
}

/** What the columns of queries are multiplied by. */
interface Factors {
  readonly name: string;
  readonly values: Float64Array;
}

/** The scales of a stored constant's rows, in units of their mean; null where it has only one. */
function rowFactors({ name, quant }: Tensor): Factors | null {
  if (quant?.kind !== 'per-row') return null;
  const mean = meanOf(quant.scales);
  return { name, values: quant.scales.map((scale) => scale / mean) };
}

function meanOf(values: Float64Array): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** Adds the linear that makes only the columns of these heads, times the factors if there are any. */
function linearOfHeads(
  growing: Growing,
  node: AttentionNode,
  source: LinearNode,
  heads: HeadRange,
  factors: Factors | null = null,
): string {
  const [x, weight, bias] = source.inputs as readonly [string, string, string];
  const columns =
    (tensorOf(growing.graph, source.output).shape[1] / node.attrs.heads) * heads.count;
  const rows = tensorOf(growing, x).shape[0];
  const output = addActivation(growing, nameOfHeads(source.output, heads.index), rows, columns);
  const inputs = [
    x,
    scaled(growing, sliceOfHeads(growing, weight, 'rows', node, heads), 'rows', factors),
    scaled(growing, sliceOfHeads(growing, bias, 'columns', node, heads), 'columns', factors),
  ];
  growing.nodes.push({ ...source, name: nameOfHeads(source.name, heads.index), inputs, output });
  return output;
}

/** Adds a constant times a factor a row, or a column; returns its name. */
function scaled(
  growing: Growing,
  name: string,
  axis: 'rows' | 'columns',
  factors: Factors | null,
): string {
  if (factors === null) return name;
  const tensor = constantOf(growing, name);
  const { quant } = tensor;
  const output = `${name}+${factors.name}`;
  if (axis === 'rows' && quant !== undefined) {
    const scaleOf = (row: number) => (quant.kind === 'per-row' ? quant.scales[row]! : quant.scale);
    const scales = factors.values.map((factor, row) => factor * scaleOf(row));
    growing.tensors[output] = { ...tensor, name: output, quant: { kind: 'per-row', scales } };
    return output;
  }
  const columns = tensor.shape[1];
  const indexOf = (element: number) =>
    axis === 'rows' ? Math.floor(element / columns) : element % columns;
  const data = realValues(tensor).map((real, element) => real * factors.values[indexOf(element)]!);
  growing.tensors[output] = {
    ...{ name: output, role: 'constant', dtype: 'float32', shape: tensor.shape, data },
  };
  return output;
}

/** u = q·Wk of one head: (rows of q, width of x); `sliced`: the head's Wk. */
function absorbKeys(
  growing: Growing,
  keys: LinearNode,
  sliced: string,
  query: string,
  heads: HeadRange,
): string {
  const weight = transposed(growing, sliced);
  const width = tensorOf(growing, weight).shape[0] as number;
  const name = nameOfHeads(keys.output, heads.index);
  const bias = `${name}.no-bias`;
  growing.tensors[bias] = {
    ...{ name: bias, role: 'constant', dtype: 'float32', shape: [1, width] },
    data: new Float32Array(width),
  };
  const output = addActivation(growing, name, tensorOf(growing, query).shape[0], width);
  const inputs = [query, weight, bias];
  growing.nodes.push({ ...keys, name: nameOfHeads(keys.name, heads.index), inputs, output });
  return output;
}

function addActivation(
  { tensors }: Growing,
  name: string,
  rows: Tensor['shape'][0],
  columns: number,
): string {
  tensors[name] = { name, role: 'activation', dtype: 'float32', shape: [rows, columns] };
  return name;
}

/** Adds the part of a constant that belongs to these heads; returns its name. */
function sliceOfHeads(
  { graph, tensors }: Growing,
  name: string,
  axis: 'rows' | 'columns',
  node: AttentionNode,
  { first, count }: HeadRange,
): string {
  const tensor = constantOf({ tensors: graph.tensors }, name);
  // By its heads, so that attentions with the same weights share the slice.
  const sliced = nameOfHeads(name, count === 1 ? first : `${first}-${first + count - 1}`);
  const length = Number(tensor.shape[axis === 'rows' ? 0 : 1]) / node.attrs.heads;
  const [start, end] = [first * length, (first + count) * length];
  const part =
    axis === 'rows'
      ? takeRows(
          tensor,
          Array.from({ length: end - start }, (_, index) => start + index),
        )
      : ({ shape: [1, end - start], data: tensor.data.slice(start, end) } as const);
  tensors[sliced] = { ...tensor, name: sliced, ...part };
  return sliced;
}

/** Of scales of rows, which are `rowFactors` of the queries, only their mean is left. */
function transposed(growing: Growing, name: string): string {
  const tensor = constantOf(growing, name);
  const [rows, columns] = tensor.shape as readonly [number, number];
  const data = allocate(tensor.dtype, rows * columns);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      data[column * rows + row] = tensor.data[row * columns + column]!;
    }
  }
  const output = `${name}.transposed`;
  const turned: Tensor = { ...tensor, name: output, shape: [columns, rows], data };
  growing.tensors[output] =
    turned.quant?.kind === 'per-row'
      ? {
          ...turned,
          quant: { kind: 'affine', scale: meanOf(turned.quant.scales), zeroPoint: 0 },
        }
      : turned;
  return output;
}

function constantOf(graph: Pick<Graph<'float'>, 'tensors'>, name: string) {
  const tensor = tensorOf(graph, name);
  if (!isConstant(tensor)) throw internalError(`'${name}' is not constant`, name);
  return tensor;
}
