/**
 * The parameters of every node as words, in the order of the fields of the kernels' classes
 * (kernels/assemblyscript), and the arrays they point to, placed in the module's image.
 */
import { assertExhaustive, internalError } from '../errors.ts';
import { roundUp } from '../integers.ts';
import { dtypes } from '../ir/dtypes.ts';
import { type Graph, isConstant, type Node, tensorOf } from '../ir/graph.ts';
import type { NormInteger } from '../ops/layer-norm.ts';
import type { RmsNormInteger } from '../ops/rms-norm.ts';
import type { Requant } from '../quantize/fixed-point.ts';
import { type Kernel, packWeights } from '../schedule/kernels.ts';
import type { ConstantSizes } from '../schedule/placement.ts';
import type { ConstantImage } from './wasm-image.ts';
import {
  columnRequants,
  columnScales,
  largestSums,
  paddedBias,
  requantPairs,
} from './wasm-linear.ts';
import { tableWords } from './wasm-tables.ts';

export interface NodeParams {
  /** The class in AssemblyScript. */
  readonly type: string;
  readonly address: number;
  /** A constant operand of which a call reads its own rows; 0: there is none. */
  readonly rowsAddress: number;
  /** Of all that was placed for the node. */
  readonly bytes: ConstantSizes;
}

/** Classes by op. */
export const paramsTypes = {
  linear: 'Linear',
  attention: 'Attention',
  normalizedAttention: 'NormalizedAttention',
  attendInputs: 'AttendInputs',
  add: 'Add',
  layerNorm: 'Norm',
  addLayerNorm: 'AddNorm',
  lookupRows: 'LookupRows',
  clusterRows: 'ClusterRows',
  codebookRows: 'CodebookRows',
  embedLayerNorm: 'EmbedNorm',
  meanRows: 'MeanRows',
  causalAttention: 'CausalAttention',
  windowAttention: 'CausalAttention',
  rotary: 'Rotary',
  gatedProduct: 'GatedProduct',
  residualAdd: 'ResidualAdd',
  rmsNorm: 'Norm',
} as const;

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
): NodeParams | null {
  const before = image.sizes();
  const words = wordsOf(image, graph, node, kernel);
  if (words === null) return null;
  const type = paramsTypes[node.op as keyof typeof paramsTypes];
  const address = image.place(Int32Array.from(words), 'encoder');
  const rowsAddress = placeRows(image, graph, node);
  const after = image.sizes();
  const bytes = {
    encoder: after.encoder - before.encoder,
    ...{ tokenizer: 0, constraint: 0 },
    embedding: after.embedding - before.embedding,
  };
  return { type, address, rowsAddress, bytes };
}

/** Positions lie side by side: their table needs no op that looks them up. */
function placeRows(image: ConstantImage, graph: Graph<'legal'>, node: Node<'legal'>): number {
  if (node.op !== 'embedLayerNorm') return 0;
  const position = tensorOf(graph, node.inputs[1]!);
  return isConstant(position) ? image.place(position.data, 'embedding') : 0;
}

function wordsOf(
  image: ConstantImage,
  graph: Graph<'legal'>,
  node: Node<'legal'>,
  kernel: Kernel | null,
): readonly number[] | null {
  const constant = (index: number) => {
    const tensor = tensorOf(graph, node.inputs[index]!);
    if (!isConstant(tensor)) throw internalError(`'${tensor.name}' is not constant`, node.name);
    return { data: tensor.data, rows: tensor.shape[0] as number, columns: tensor.shape[1] };
  };
  const columnsOf = (name: string): number => tensorOf(graph, name).shape[1];
  const norm = (integer: NormInteger, gammaIndex: number): readonly number[] => {
    const [gamma, beta] = [constant(gammaIndex).data, constant(gammaIndex + 1).data];
    return normWords(image, integer, gamma as Int16Array, beta as Int32Array);
  };
  switch (node.op) {
    case 'linear': {
      const { data, rows, columns } = constant(1);
      const weights = data as Int8Array;
      const bias = constant(2).data as Int32Array;
      const { zeroPoint, min, max, table } = node.integer;
      const offset = areNarrow(weights) ? narrowOffset : 0;
      const stored = weights.map((weight) => weight + offset);
      const packed = packWeights(kernel!, stored, rows, columns);
      const largest = -dtypes[tensorOf(graph, node.inputs[0]!).dtype].min;
      const scales = columnScales(node.integer, largestSums(weights, bias, columns, largest));
      return [
        ...[columns, rows, image.place(packed, 'encoder'), offset],
        image.place(paddedBias(bias), 'encoder'),
        ...(scales === null
          ? [0, 0, image.place(columnRequants(node.integer), 'encoder')]
          : [image.place(scales.data, 'encoder'), scales.shift, 0]),
        ...[zeroPoint, min, max, table === null ? 0 : image.place(table, 'encoder')],
      ];
    }
    case 'attention': {
      const { scoreMultipliers, scoreShifts, expTables, mix, zeroPoint } = node.integer;
      const { heads, causal } = node.attrs;
      const [q, , v] = node.inputs.map(columnsOf);
      return [
        ...[heads, q! / heads, v! / heads, causal ? 1 : 0],
        image.place(
          requantPairs({ multipliers: scoreMultipliers, shifts: scoreShifts }),
          'encoder',
        ),
        image.place(expTables, 'encoder'),
        ...requant(mix),
        zeroPoint,
      ];
    }
    case 'attendInputs': {
      const { integer } = node;
      const { heads } = node.attrs;
      return [
        ...[heads, columnsOf(node.output) / heads],
        image.place(
          requantPairs({ multipliers: integer.scoreMultipliers, shifts: integer.scoreShifts }),
          'encoder',
        ),
        image.place(integer.expTables, 'encoder'),
        image.place(integer.rescaleTables, 'encoder'),
        integer.inputZeroPoint,
        ...requant(integer.mix),
      ];
    }
    case 'add': {
      const { a, b, sum, zeroPointA, zeroPointB, zeroPoint, min, max } = node.integer;
      return [
        ...[columnsOf(node.output), zeroPointA, zeroPointB],
        ...[...requant(a), ...requant(b), ...requant(sum), zeroPoint, min, max],
      ];
    }
    case 'layerNorm':
      return norm(node.integer, 1);
    case 'addLayerNorm': {
      const { multiplierA, multiplierB, zeroPointA, zeroPointB } = node.integer;
      return [...norm(node.integer, 2), multiplierA, multiplierB, zeroPointA, zeroPointB];
    }
    case 'lookupRows':
    case 'clusterRows':
    case 'codebookRows':
      return tableWords(image, graph, node);
    case 'embedLayerNorm': {
      const { multiplierWord, multiplierPosition, multiplierSegment } = node.integer;
      const segment = constant(3);
      return [
        ...norm(node.integer, 4),
        ...[image.place(segment.data, 'embedding'), segment.rows],
        ...[multiplierWord, multiplierPosition, multiplierSegment],
      ];
    }
    case 'meanRows': {
      const { zeroPoint, mean, min, max } = node.integer;
      return [columnsOf(node.output), zeroPoint, ...requant(mean), min, max];
    }
    case 'normalizedAttention': {
      const { integer, attrs } = node;
      const [q, , v] = node.inputs.map(columnsOf);
      const softmaxes = Array.from(integer.softmaxMultipliers, (multiplier, head) => [
        ...[multiplier, integer.softmaxShifts[head]!, integer.smallestDifferences[head]!],
      ]);
      return [
        ...[attrs.heads, q! / attrs.heads, v! / attrs.heads],
        image.place(
          requantPairs({ multipliers: integer.scoreMultipliers, shifts: integer.scoreShifts }),
          'encoder',
        ),
        image.place(Int32Array.from(softmaxes.flat()), 'encoder'),
        ...requant(integer.mix),
        integer.zeroPoint,
      ];
    }
    case 'windowAttention':
    case 'causalAttention': {
      const { scoreMultipliers, expTables, mix, zeroPoint } = node.integer;
      const { heads, keyValueHeads } = node.attrs;
      const [q, , v] = node.inputs.map(columnsOf);
      return [
        ...[heads, keyValueHeads, q! / heads, v! / keyValueHeads],
        ...[image.place(scoreMultipliers, 'encoder'), image.place(expTables, 'encoder')],
        ...[...requant(mix), zeroPoint],
      ];
    }
    case 'rotary': {
      const { multiplier, shift } = node.integer;
      const table = constant(1);
      const heads = columnsOf(node.output) / table.columns;
      return [heads, table.columns, multiplier, shift, image.place(table.data, 'encoder')];
    }
    case 'gatedProduct': {
      const { table, zeroPointUp, multiplier, zeroPoint } = node.integer;
      const address = image.place(table, 'encoder');
      return [columnsOf(node.output), address, zeroPointUp, multiplier, zeroPoint];
    }
    case 'residualAdd': {
      const { multiplierA, multiplierB, shift } = node.integer;
      return [columnsOf(node.output), multiplierA, multiplierB, shift];
    }
    case 'rmsNorm': {
      const gamma = constant(1);
      const beta = new Int32Array(gamma.columns).fill(node.integer.offset);
      return normWords(image, node.integer, gamma.data as Int16Array, beta);
    }
    case 'selectRow':
    case 'concat':
      return null;
    case 'activation':
    case 'embed':
      throw internalError(`op '${node.op}' has no kernel`, node.name);
    default:
      return assertExhaustive(node);
  }
}

function normWords(
  image: ConstantImage,
  { epsilon, fraction, outShift, min, max }: NormInteger | RmsNormInteger,
  gamma: Int16Array,
  beta: Int32Array,
): readonly number[] {
  return [
    ...[gamma.length, epsilon | 0, Math.floor(epsilon / 2 ** 32), fraction, outShift, min, max],
    ...[image.place(filledUp(gamma), 'encoder'), image.place(filledUp(beta), 'encoder')],
  ];
}

function requant({ multiplier, shift }: Requant): readonly number[] {
  return [multiplier, shift];
}

/** Kernels take eight at once. */
function filledUp<T extends Int16Array | Int32Array>(values: T): T {
  const filled = new (values.constructor as new (length: number) => T)(roundUp(values.length, 8));
  filled.set(values);
  return filled;
}
