/**
 * Gives every tensor its integer type and every node its integer meaning.
 *
 * The op table holds each op's rule; here only what concerns several nodes is decided: which tensors
 * share a quantization (views), which have zero point 0 (their readers say so), and the range.
 */
import { isDeepStrictEqual } from 'node:util';
import { wholeOf } from '../ir/derived-names.ts';
import { type DType, dtypes } from '../ir/dtypes.ts';
import {
  type Affine,
  type Graph,
  type Node,
  readersOf,
  type Tensor,
  tensorOf,
} from '../ir/graph.ts';
import { producersOf } from '../ir/rewrite.ts';
import { type OpName, operandOf, opOf } from '../ops/index.ts';
import type { QuantizedConstant } from '../ops/op.ts';
import { bestRange, type Calibration, type Observed } from './calibrate.ts';
import { type Range, tableRanges } from './table-ranges.ts';

/** `imported`: quantizations that a model came with, by tensor; they are kept where they can be. */
export function quantize(
  graph: Graph<'float'>,
  calibration: Calibration,
  imported: ReadonlyMap<string, Affine> = new Map(),
): Graph<'quantized'> {
  const quants = chooseQuants(graph, calibration, imported);
  const tensors: Record<string, Tensor> = {};
  for (const name of graph.inputs) {
    const tensor = tensorOf(graph, name);
    tensors[name] = { ...tensor, dtype: inputDtype(tensor) };
  }
  for (const [name, { dtype, quant }] of quants) {
    tensors[name] = { ...tensorOf(graph, name), dtype, quant };
  }
  const nodes = graph.nodes.map((node) => quantizeNode(graph, node, calibration, quants, tensors));
  return { ...graph, stage: 'quantized', nodes, tensors };
}

/** The graph with the integer types it will have, which a planner asks for before any calibration. */
export function withIntegerDtypes(graph: Graph<'float'>): Graph<'float'> {
  const tensors: Record<string, Tensor> = { ...graph.tensors };
  for (const name of graph.inputs) {
    const tensor = tensorOf(graph, name);
    tensors[name] = { ...tensor, dtype: inputDtype(tensor) };
  }
  for (const group of sharingGroups(graph)) {
    const dtype = sharedDtype(graph, group);
    for (const name of group) tensors[name] = { ...tensorOf(graph, name), dtype };
  }
  return { ...graph, tensors };
}

function inputDtype({ shape, dtype }: Tensor): DType {
  return shape[0] === 'tokens' ? 'uint16' : dtype;
}

/** Of tensors that share one quantization: int16 where anything wants one of them so. */
function sharedDtype(graph: Graph<'float'>, group: readonly string[]): DType {
  const isOutput = group.some((name) => graph.outputs.includes(name));
  const isWide = graph.nodes.some(
    ({ op, inputs, output }) =>
      (group.includes(output) && opOf(op).outputDtype === 'int16') ||
      inputs.some((name, index) => group.includes(name) && operandOf(op, index).dtype === 'int16'),
  );
  return isOutput || isWide ? 'int16' : 'int8';
}

function hasSymmetricRows({ op }: Node<'float'>): boolean {
  return opOf(op).table !== undefined || opOf(op).symmetricOutput === true;
}

/** Of rows whose codes a table fixes. */
function storedScale(graph: Graph<'float'>, node: Node<'float'>): number | null {
  const operands = node.inputs.map((name) => tensorOf(graph, name));
  return opOf(node.op).table?.scale(operands, node.attrs) ?? null;
}

interface TensorQuant {
  readonly dtype: DType;
  readonly quant: Affine;
}

function quantizeNode(
  graph: Graph<'float'>,
  node: Node<'float'>,
  calibration: Calibration,
  quants: ReadonlyMap<string, TensorQuant>,
  tensors: Record<string, Tensor>,
): Node<'quantized'> {
  const output = quants.get(node.output)!;
  const { integer, constants } = opOf(node.op).quantize({
    attrs: node.attrs,
    inputs: node.inputs.map((name) => tensorOf(graph, name)),
    quants: node.inputs.map((name) => quants.get(name)?.quant ?? null),
    inputDtype: (tensors[node.inputs[0]!] ?? tensorOf(graph, node.inputs[0]!)).dtype,
    output: { ...output, shape: tensorOf(graph, node.output).shape },
    observed: calibration.internals.get(node.output) ?? null,
  });
  const inputs = node.inputs.map((name, index) => {
    const constant = constants[index];
    if (constant === undefined) return name;
    // A constant read by two nodes is quantized for each of them, and stored once where that is the
    // same: layers that share their weights.
    const own = nameFor(name, constant, node, tensors);
    tensors[own] = { ...constant, name: own, role: 'constant' };
    return own;
  });
  return { ...node, inputs, integer } as Node<'quantized'>;
}

function nameFor(
  name: string,
  constant: QuantizedConstant,
  node: Node<'float'>,
  tensors: Readonly<Record<string, Tensor>>,
): string {
  const earlier = tensors[name];
  return earlier === undefined || isSameConstant(earlier, constant)
    ? name
    : `${node.output}/${name}`;
}

function isSameConstant(a: Tensor, b: QuantizedConstant): boolean {
  return (
    a.dtype === b.dtype && isDeepStrictEqual([a.shape, a.data, a.quant], [b.shape, b.data, b.quant])
  );
}

function chooseQuants(
  graph: Graph<'float'>,
  calibration: Calibration,
  imported: ReadonlyMap<string, Affine>,
): ReadonlyMap<string, TensorQuant> {
  const readers = readersOf(graph);
  const producers = producersOf(graph);
  const tables = tableRanges(graph);
  const quants = new Map<string, TensorQuant>();
  for (const group of sharingGroups(graph)) {
    const reads = group.flatMap((name) =>
      (readers.get(name) ?? []).map((index) => ({ node: graph.nodes[index]!, name })),
    );
    const symmetric =
      group.some((name) => hasSymmetricRows(producers.get(name)!)) ||
      reads.some(({ node, name }) =>
        node.inputs.some((input, index) => input === name && operandOf(node.op, index).symmetric),
      );
    const useful = reads.map(({ node }) => opOf(node.op).usefulRange?.(node.attrs));
    const range: readonly [number, number] =
      useful.length > 0 && useful.every((one) => one !== undefined)
        ? [Math.min(...useful.map((one) => one[0])), Math.max(...useful.map((one) => one[1]))]
        : [Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY];
    const seen = mergeObserved(group.map((name) => calibration.tensors.get(name)!));
    const dtype = sharedDtype(graph, group);
    const makers = group.map((name) => producers.get(name)!).filter(({ op }) => !sharesQuant(op));
    const table = makers.length === 1 ? tables.get(makers[0]!.output) : undefined;
    const tableScale = makers.length === 1 ? storedScale(graph, makers[0]!) : null;
    const quant =
      dtype === 'int16'
        ? wideQuant(table ?? seen)
        : tableScale !== null
          ? ({ kind: 'affine', scale: tableScale, zeroPoint: 0 } as const)
          : table !== undefined
            ? rangeQuant(table, symmetric)
            : (importedQuant(group, imported, symmetric) ??
              activationQuant(seen, symmetric, range));
    for (const name of group) quants.set(name, { dtype, quant });
  }
  return quants;
}

/** What the model came with for one of the tensors, or for the whole that they are parts of. */
function importedQuant(
  group: readonly string[],
  imported: ReadonlyMap<string, Affine>,
  symmetric: boolean,
): Affine | null {
  const own = group.map((name) => imported.get(wholeOf(name))).find((one) => one !== undefined);
  if (own === undefined) return null;
  if (!symmetric || own.zeroPoint === 0) return own;
  // The same range around 0.
  const { min, max } = dtypes.int8;
  const reach = Math.max(own.zeroPoint - min, max - own.zeroPoint) * own.scale;
  return { kind: 'affine', scale: reach / max, zeroPoint: 0 };
}

function activationQuant(
  seen: Observed,
  symmetric: boolean,
  useful: readonly [number, number],
): Affine {
  const [min, max] = bestRange(seen, levelsOf(symmetric), symmetric, useful);
  return rangeQuant({ min, max }, symmetric);
}

function levelsOf(symmetric: boolean): number {
  return symmetric ? 254 : 255;
}

/** Nothing in the range, which holds 0, is clipped. */
function rangeQuant({ min, max }: Range, symmetric: boolean): Affine {
  const span = symmetric ? 2 * Math.max(-min, max) : max - min;
  const scale = span / levelsOf(symmetric) || scaleOfZero;
  const zeroPoint = symmetric
    ? 0
    : Math.min(127, Math.max(-128, Math.round(-128 - min / scale) + 0));
  return { kind: 'affine', scale, zeroPoint };
}

/** Of a tensor that is always zero; small, for biases behind it are counted in its units. */
const scaleOfZero = 2 ** -12;

/** int16, zero point 0, with room for twice the largest value of the calibration data. */
function wideQuant({ min, max }: Range): Affine {
  const scale = (2 * Math.max(-min, max)) / 32767 || scaleOfZero;
  return { kind: 'affine', scale, zeroPoint: 0 };
}

function sharesQuant(op: OpName): boolean {
  return opOf(op).sameQuantAsInputs === true;
}

/** Activation tensors in sets that share one quantization: copies share with their operands. */
function sharingGroups(graph: Graph<'float'>): readonly (readonly string[])[] {
  const groupOf = new Map<string, string[]>();
  for (const node of graph.nodes) groupOf.set(node.output, [node.output]);
  for (const node of graph.nodes) {
    if (!sharesQuant(node.op)) continue;
    for (const name of node.inputs) {
      const mine = groupOf.get(node.output)!;
      const other = groupOf.get(name);
      if (other === undefined || other === mine) continue;
      mine.push(...other);
      for (const member of other) groupOf.set(member, mine);
    }
  }
  return [...new Set(groupOf.values())];
}

function mergeObserved(list: readonly Observed[]): Observed {
  const limit = Math.max(...list.map((one) => one.limit));
  const counts = new Float64Array(list[0]!.counts.length);
  for (const one of list) {
    const ratio = one.limit / limit; // a power of two
    for (const [bin, count] of one.counts.entries()) {
      const offset = (bin + 0.5 - counts.length / 2) * ratio;
      counts[Math.floor(offset + counts.length / 2)]! += count;
    }
  }
  return {
    min: Math.min(...list.map((one) => one.min)),
    max: Math.max(...list.map((one) => one.max)),
    limit,
    counts,
  };
}
