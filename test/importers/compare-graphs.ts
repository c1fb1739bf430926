/** Graphs compared as integers, whatever their layers are called. */
import { interpret, type Tokens } from '../../toolchain/emulate/interpreter.ts';
import type { ImportedModel } from '../../toolchain/importers/index.ts';
import type { Graph, Stage } from '../../toolchain/ir/graph.ts';
import { serializeGraph } from '../../toolchain/ir/serialize.ts';
import { verify } from '../../toolchain/ir/verify.ts';
import { trimPositions } from '../../toolchain/passes/trim-positions.ts';
import { simplify } from '../../toolchain/pipeline.ts';
import { calibrate } from '../../toolchain/quantize/calibrate.ts';
import { quantize } from '../../toolchain/quantize/quantize.ts';

export const comparedTokens = 7;

const texts: readonly Tokens[] = [
  { ids: [2, 11, 30, 17, 8, 25, 3], segmentStart: 7 },
  { ids: [2, 39, 5, 3], segmentStart: 4 },
];

/** The quantized graph with numbers for names, in the order in which the output needs its nodes. */
export function integerGraph({ graph, card }: ImportedModel): Uint8Array {
  verify(graph);
  const order = Int32Array.from({ length: card.vocabularySize }, (_, id) => id);
  const simple = trimPositions(simplify(graph, order, 'native'), comparedTokens);
  return serializeGraph(numbered(quantize(simple, calibrate(simple, texts))), null);
}

function numbered<S extends Stage>(graph: Graph<S>): Graph<S> {
  const names = new Map<string, string>();
  const makers = new Map(graph.nodes.map((node) => [node.output, node]));
  const nodes: Graph<S>['nodes'][number][] = [];
  const visit = (tensor: string): void => {
    if (names.has(tensor)) return;
    const maker = makers.get(tensor);
    for (const input of maker?.inputs ?? []) visit(input);
    names.set(tensor, `t${names.size}`);
    if (maker !== undefined) nodes.push(maker);
  };
  for (const name of [...graph.inputs, ...graph.outputs]) visit(name);
  const renamed = (name: string): string => names.get(name)!;
  return {
    ...graph,
    name: 'model',
    inputs: graph.inputs.map(renamed),
    outputs: graph.outputs.map(renamed),
    nodes: nodes.map((node, index) => ({
      ...node,
      name: `n${index}`,
      inputs: node.inputs.map(renamed),
      output: renamed(node.output),
    })),
    tensors: Object.fromEntries(
      Object.values(graph.tensors)
        .map((tensor) => [renamed(tensor.name), { ...tensor, name: renamed(tensor.name) }] as const)
        .sort(([a], [b]) => (a < b ? -1 : 1)),
    ),
  };
}

/** What the float graph computes, row by row. */
export function floatOutput(model: ImportedModel, tokens: Tokens): number[] {
  return Array.from(interpret(model.graph, tokens)[0]!.data);
}

/** The same with every activation rounded to the codes that an int8 model keeps it in. */
export function roundedOutput({ graph, stored }: ImportedModel, tokens: Tokens): number[] {
  const outputs = interpret(graph, tokens, (node, _inputs, { data }) => {
    const quant = stored?.get(node.output);
    if (quant === undefined) return;
    for (const [index, value] of data.entries()) {
      const code = Math.round(value / quant.scale) + quant.zeroPoint;
      data[index] = (Math.max(-128, Math.min(127, code)) - quant.zeroPoint) * quant.scale;
    }
  });
  return Array.from(outputs[0]!.data);
}

/** The largest difference, as a part of the largest value. */
export function relativeError(values: readonly number[], expected: readonly number[]): number {
  if (values.length !== expected.length) return Number.POSITIVE_INFINITY;
  const largest = Math.max(...expected.map(Math.abs));
  return Math.max(...values.map((value, i) => Math.abs(value - expected[i]!))) / largest;
}

export function meanOfRows(values: readonly number[], columns: number): number[] {
  const rows = values.length / columns;
  return Array.from({ length: columns }, (_, column) => {
    let sum = 0;
    for (let row = 0; row < rows; row++) sum += values[row * columns + column]!;
    return sum / rows;
  });
}
