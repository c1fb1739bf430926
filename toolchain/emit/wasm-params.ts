/**
 * The parameters of every node as words, in the order of the fields of the kernels' classes
 * (kernels/assemblyscript), and the arrays they point to, placed in the module's image.
 */
import { assertExhaustive, internalError } from '../errors.ts';
import { roundUp } from '../integers.ts';
import { dtypes } from '../ir/dtypes.ts';
import { type Graph, isConstant, type Node, tensorOf } from '../ir/graph.ts';
import { constantOf } from '../ops/table-rows.ts';
import { type Kernel, packWeights } from '../schedule/kernels.ts';
import type { ConstantSizes } from '../schedule/placement.ts';
import type { ConstantData } from './c-text.ts';
import { largestSums } from './linear-bounds.ts';
import { type ClassName, nodeParams, type Param } from './node-params.ts';
import type { ConstantImage } from './wasm-image.ts';
import { columnRequants, columnScales, paddedBias } from './wasm-linear.ts';
import { tableWords } from './wasm-tables.ts';

export interface PlacedParams {
  readonly type: ClassName;
  readonly address: number;
  /** A constant operand of which a call reads its own rows; 0: there is none. */
  readonly rowsAddress: number;
  /** Of all that was placed for the node. */
  readonly bytes: ConstantSizes;
}

/** Weights that all lie in −64 … 63 are stored with 64 added, so that relaxed SIMD can take them. */
export const narrowOffset = 64;

export function areNarrow(weights: ArrayLike<number>): boolean {
  return Array.prototype.every.call(weights, (weight: number) => weight >= -64 && weight <= 63);
}

/** `kernel`: of either variant, for both read the same parameters. Null for views. */
export function placeParams(
  image: ConstantImage,
  graph: Graph<'legal'>,
  node: Node<'legal'>,
  kernel: Kernel | null,
): PlacedParams | null {
  const before = image.sizes();
  const made = classOf(image, graph, node, kernel);
  if (made === null) return null;
  const address = image.place(Int32Array.from(made.words), 'encoder');
  const rowsAddress = placeRows(image, graph, node);
  const after = image.sizes();
  const bytes = {
    encoder: after.encoder - before.encoder,
    ...{ tokenizer: 0, constraint: 0 },
    embedding: after.embedding - before.embedding,
  };
  return { type: made.type, address, rowsAddress, bytes };
}

/** Positions lie side by side: their table needs no op that looks them up. */
function placeRows(image: ConstantImage, graph: Graph<'legal'>, node: Node<'legal'>): number {
  if (node.op !== 'embed' && node.op !== 'embedLayerNorm') return 0;
  const position = tensorOf(graph, node.inputs[1]!);
  return isConstant(position) ? image.place(position.data, 'embedding') : 0;
}

function classOf(
  image: ConstantImage,
  graph: Graph<'legal'>,
  node: Node<'legal'>,
  kernel: Kernel | null,
): { readonly type: ClassName; readonly words: readonly number[] } | null {
  switch (node.op) {
    case 'linear':
      return { type: 'Linear', words: linearWords(image, graph, node, kernel!) };
    case 'weightRows':
      return { type: 'WeightRows', words: weightRowsWords(image, graph, node, kernel!) };
    case 'lookupRows':
    case 'clusterRows':
    case 'codebookRows':
      return { type: tableClasses[node.op], words: tableWords(image, graph, node) };
    default: {
      const listed = nodeParams(graph, node);
      if (listed === null) return null;
      if (listed.class === null) throw internalError(`op '${node.op}' has no class`, node.name);
      const params = node.op === 'rmsNorm' ? asLayerNorm(listed.params) : listed.params;
      return { type: listed.class, words: params.flatMap((param) => wordsOf(image, param)) };
    }
  }
}

const tableClasses = {
  lookupRows: 'LookupRows',
  clusterRows: 'ClusterRows',
  codebookRows: 'CodebookRows',
} as const;

function wordsOf(image: ConstantImage, param: Param): readonly number[] {
  switch (param.kind) {
    case 'number':
      return [param.value];
    case 'int64':
      return [param.value | 0, Math.floor(param.value / 2 ** 32)];
    case 'flag':
      return [param.value ? 1 : 0];
    case 'requant':
      return [param.value.multiplier, param.value.shift];
    case 'array':
      return [
        image.place(param.isPadded ? filledUp(param.data) : param.data, param.section ?? 'encoder'),
      ];
    case 'turns':
      return [image.place(inTurns(param.arrays.map(({ data }) => data)), 'encoder')];
    case 'struct':
      return param.params.flatMap((own) => wordsOf(image, own));
    default:
      return assertExhaustive(param);
  }
}

/** What normalizes by the root of the mean square has the same beta in all columns. */
function asLayerNorm(params: readonly Param[]): readonly Param[] {
  const width = params.find((one) => one.kind === 'number' && one.field === 'width');
  const offset = params.find((one) => one.kind === 'number' && one.field === 'offset');
  if (width?.kind !== 'number' || offset?.kind !== 'number') {
    throw internalError('a norm has no width or no offset', 'rmsNorm');
  }
  const data = new Int32Array(width.value).fill(offset.value);
  const beta = { field: 'beta', suffix: 'beta', data, dtype: 'int32', comment: 'beta' } as const;
  return [...params.filter((one) => one !== offset), { kind: 'array', ...beta, isPadded: true }];
}

function linearWords(
  image: ConstantImage,
  graph: Graph<'legal'>,
  node: Node<'legal'> & { readonly op: 'linear' },
  kernel: Kernel,
): readonly number[] {
  const [input, weight, bias] = node.inputs.map((name) => tensorOf(graph, name));
  const { data, shape } = constantOf(weight!);
  const [rows, columns] = shape as readonly [number, number];
  const weights = data as Int8Array;
  const biases = constantOf(bias!).data as Int32Array;
  const { zeroPoint, min, max, table } = node.integer;
  const offset = areNarrow(weights) ? narrowOffset : 0;
  const stored = weights.map((one) => one + offset);
  const packed = packWeights(kernel, stored, rows, columns);
  const largest = -dtypes[input!.dtype].min;
  const scales = columnScales(node.integer, largestSums(weights, biases, columns, largest));
  return [
    ...[columns, rows, image.place(packed, 'encoder'), offset],
    image.place(paddedBias(biases), 'encoder'),
    ...(scales === null
      ? [0, 0, image.place(columnRequants(node.integer), 'encoder')]
      : [image.place(scales.data, 'encoder'), scales.shift, 0]),
    ...[zeroPoint, min, max, table === null ? 0 : image.place(table, 'encoder')],
  ];
}

/** Not narrow: tables of weights that are stay tables. */
function weightRowsWords(
  image: ConstantImage,
  graph: Graph<'legal'>,
  node: Node<'legal'> & { readonly op: 'weightRows' },
  kernel: Kernel,
): readonly number[] {
  const { data, shape } = constantOf(tensorOf(graph, node.inputs[1]!));
  const [rows, width] = shape as readonly [number, number];
  const packed = packWeights(kernel, data as Int8Array<ArrayBuffer>, rows, width);
  const multipliers = image.place(node.integer.multipliers, 'embedding');
  return [width, rows, image.place(packed, 'encoder'), multipliers, node.integer.shift];
}

/** The first elements of all, then the second ones. */
function inTurns(arrays: readonly ArrayLike<number>[]): Int32Array {
  const count = arrays.length;
  return Int32Array.from(
    { length: count * arrays[0]!.length },
    (_, index) => arrays[index % count]![Math.floor(index / count)]!,
  );
}

/** Kernels take eight at once. */
function filledUp(values: ConstantData): ConstantData {
  const filled = new (values.constructor as new (length: number) => ConstantData)(
    roundUp(values.length, 8),
  );
  filled.set(values);
  return filled;
}
