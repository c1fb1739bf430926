/**
 * A TensorFlow.js graph model (`model.json` and its weight files) to the primitive graph.
 *
 * Read here and not by tfjs' own loader, which needs a backend, decodes all weights at once and keeps
 * its graph private; tests compare with that loader.
 */
import { userError } from '../../errors.ts';
import { type ModelFiles, quote } from '../files.ts';
import { primitiveBuilder } from '../primitive/build.ts';
import type { PrimitiveGraph, PrimitiveInput } from '../primitive/graph.ts';
import type { TfjsModel, TfNode } from './schema.ts';
import { elementTypeOf, type TfContext, tensorflowOps } from './tensorflow-ops.ts';
import { readWeights } from './weights.ts';

export function readTfjsGraph(model: TfjsModel, file: string, files: ModelFiles): PrimitiveGraph {
  const nodes = model.modelTopology.node ?? [];
  const weights = readWeights(model.weightsManifest, file, files);
  const builder = primitiveBuilder();
  const inputs: PrimitiveInput[] = [];
  const made = new Set<string>();
  for (const [name, value] of weights) {
    builder.constant(value, name);
    made.add(name);
  }
  for (const node of inOrder(nodes, file)) {
    builder.enter(node.name, node.op);
    if (node.op === 'Const') {
      if (!weights.has(node.name))
        throw badGraph(`the constant ${quote(node.name)} has no weight`, file);
    } else if (node.op === 'Placeholder' || node.op === 'PlaceholderWithDefault') {
      inputs.push(inputOf(node));
    } else if (node.op !== 'NoOp') {
      const operands = dataInputs(node);
      const context: TfContext = {
        node,
        builder,
        inputs: operands,
        output: (index = 0) => (index === 0 ? node.name : `${node.name}:${index}`),
        constant: (name) => weights.get(name),
      };
      const least = leastInputs[node.op] ?? 1;
      const converter = Object.hasOwn(tensorflowOps, node.op) ? tensorflowOps[node.op] : undefined;
      if (converter === undefined || operands.length < least) {
        builder.add('opaque', { what: node.op }, operands, node.name);
      } else converter(context);
    }
  }
  return builder.finish({
    format: 'TensorFlow.js',
    inputs,
    outputs: outputsOf(model, nodes, file),
  });
}

/** Operands that an op must have, where one is not enough. */
const leastInputs: Readonly<Record<string, number>> = {
  ...{ AddV2: 2, Add: 2, BiasAdd: 2, Sub: 2, Mul: 2, RealDiv: 2, Div: 2, Pow: 2, Maximum: 2 },
  ...{ FloorDiv: 2, FloorMod: 2, Minimum: 2, SquaredDifference: 2, Equal: 2, NotEqual: 2 },
  ...{ Less: 2, LessEqual: 2, Greater: 2, GreaterEqual: 2, LogicalAnd: 2, LogicalOr: 2 },
  ...{ Select: 3, SelectV2: 3, MatMul: 2, BatchMatMul: 2, BatchMatMulV2: 2, _FusedMatMul: 3 },
  ...{ Transpose: 2, Reshape: 2, ExpandDims: 2, BroadcastTo: 2, Tile: 2, ConcatV2: 2, Split: 2 },
  ...{ SplitV: 3, Slice: 3, StridedSlice: 3, GatherV2: 2, Gather: 2, GatherNd: 2, Range: 3 },
  ...{ Fill: 2, OneHot: 4, Cumsum: 2, Einsum: 2 },
};

/** Without control inputs; output 0 has the name of its node. */
function dataInputs({ input }: TfNode): readonly string[] {
  return input.filter((name) => !name.startsWith('^')).map((name) => name.replace(/:0$/, ''));
}

function inputOf({ name, attr }: TfNode): PrimitiveInput {
  const dims = attr.shape?.shape?.dim;
  const shape = dims?.map(({ size = -1 }) => (size > 0 ? size : null)) ?? null;
  return { name, type: elementTypeOf(attr.dtype?.type), shape };
}

function outputsOf(model: TfjsModel, nodes: readonly TfNode[], file: string): readonly string[] {
  const signature = model.signature ?? model.userDefinedMetadata?.signature;
  const named = Object.values(signature?.outputs ?? {}).flatMap(({ name }) => name ?? []);
  if (named.length > 0) return named.map((name) => name.replace(/:0$/, ''));
  const read = new Set(nodes.flatMap((node) => [...dataInputs(node)]));
  const ends = nodes.filter(({ name, op }) => op !== 'Const' && !read.has(name));
  if (ends.length === 0) throw badGraph('it has no output', file);
  return ends.map(({ name }) => name);
}

/** Converters do not write nodes in order. */
function inOrder(nodes: readonly TfNode[], file: string): readonly TfNode[] {
  const byName = new Map(nodes.map((node) => [node.name, node]));
  if (byName.size !== nodes.length) throw badGraph('two nodes have one name', file);
  const result: TfNode[] = [];
  const state = new Map<TfNode, 'open' | 'done'>();
  for (const root of nodes) {
    const stack: TfNode[] = [root];
    while (stack.length > 0) {
      const node = stack.at(-1)!;
      if (state.get(node) === 'done') stack.pop();
      else if (state.get(node) === 'open') {
        state.set(node, 'done');
        result.push(node);
        stack.pop();
      } else {
        state.set(node, 'open');
        for (const name of dataInputs(node)) {
          const input = byName.get(name.replace(/:\d+$/, ''));
          if (input === undefined)
            throw badGraph(`${quote(node.name)} reads ${quote(name)}, which is not there`, file);
          if (state.get(input) === 'open') throw badGraph(`${quote(node.name)} is in a loop`, file);
          if (state.get(input) === undefined) stack.push(input);
        }
      }
    }
  }
  return result;
}

function badGraph(message: string, where: string) {
  return userError({
    code: 'bad-tfjs',
    message: `the TensorFlow.js model cannot be read: ${message}`,
    where,
    hint: 'Convert it again with tensorflowjs_converter.',
  });
}
