/**
 * Absorbed attention: for a single query row, no keys and no values at all (exact algebra).
 *
 * The constant q·bk is the same for every token and leaves the softmax as it is; the weights P sum to
 * one, so bv stays a bias. A last layer of which one row is demanded then costs next to nothing, and
 * needs no memory beside its input.
 */
import { allocate } from '../ir/dtypes.ts';
import { type Graph, isConstant, type Node, type Tensor, tensorOf } from '../ir/graph.ts';
import { dropDead, type Pass, producersOf } from '../ir/rewrite.ts';
import { widestInput } from '../ops/attend-inputs.ts';
import { type Growing, groupLinear, type LinearNode, sliceConstant } from './split-heads.ts';

/** softmax(q·(x·Wkᵀ + bk)ᵀ)·(x·Wvᵀ + bv) = (softmax((q·Wk)·xᵀ)·x)·Wvᵀ + bv, head by head */
export const absorbAttention: Pass<'float'> = {
  name: 'absorb-attention',
  run(graph) {
    const producers = producersOf(graph);
    const tensors: Record<string, Tensor> = { ...graph.tensors };
    const nodes: Node<'float'>[] = [];
    for (const node of graph.nodes) {
      const sources = node.inputs.map((name) => producers.get(name));
      if (!canAbsorb(graph, node, sources)) {
        nodes.push(node);
        continue;
      }
      const [q, k, v] = sources as unknown as readonly [LinearNode, LinearNode, LinearNode];
      const { heads } = node.attrs;
      const parts: string[] = [];
      for (let head = 0; head < heads; head++) {
        const context = { graph, tensors, nodes };
        const query = groupLinear(context, q, head, heads);
        const unit = absorbKeys(context, k, query, head, heads);
        const mixed = attend(context, node, unit, k.inputs[0]!, head);
        parts.push(applyValues(context, v, mixed, head, heads));
      }
      nodes.push({
        op: 'concat',
        name: node.name,
        inputs: parts,
        output: node.output,
        attrs: {},
        integer: null,
      });
    }
    return dropDead({ ...graph, nodes, tensors });
  },
};

type AttentionNode = Node<'float'> & { readonly op: 'attention' };

function canAbsorb(
  graph: Graph<'float'>,
  node: Node<'float'>,
  sources: readonly (Node<'float'> | undefined)[],
): node is AttentionNode {
  if (node.op !== 'attention' || node.attrs.causal) return false;
  const [q, k, v] = sources;
  return (
    q?.op === 'linear' &&
    k?.op === 'linear' &&
    v?.op === 'linear' &&
    k.inputs[0] === v.inputs[0] &&
    tensorOf(graph, node.output).shape[0] === 1 &&
    tensorOf(graph, k.inputs[0]!).shape[1] <= widestInput
  );
}

/** u = q·Wk of one head: (1, width of x) */
function absorbKeys(
  { graph, tensors, nodes }: Growing,
  keys: LinearNode,
  query: string,
  head: number,
  heads: number,
): string {
  const sliced = sliceConstant(graph, tensors, keys.inputs[1]!, 'rows', head, heads);
  const weight = transposed(tensors, sliced);
  const width = tensorOf({ tensors }, weight).shape[0] as number;
  const bias = `${keys.output}#${head}.no-bias`;
  tensors[bias] = {
    name: bias,
    role: 'constant',
    dtype: 'float32',
    shape: [1, width],
    data: new Float32Array(width),
  };
  const output = `${keys.output}#${head}`;
  tensors[output] = { name: output, role: 'activation', dtype: 'float32', shape: [1, width] };
  nodes.push({
    ...keys,
    name: `${keys.name}#${head}`,
    inputs: [query, weight, bias],
    output,
  });
  return output;
}

function attend(
  { tensors, nodes }: Growing,
  node: AttentionNode,
  unit: string,
  x: string,
  head: number,
): string {
  const output = `${node.output}#${head}.mixed`;
  tensors[output] = { ...tensorOf({ tensors }, unit), name: output };
  nodes.push({
    op: 'attendInputs',
    name: `${node.name}#${head}`,
    inputs: [unit, x],
    output,
    attrs: { heads: 1, scale: node.attrs.scale },
    integer: null,
  });
  return output;
}

/** y = mixed·Wvᵀ + bv of one head */
function applyValues(
  { graph, tensors, nodes }: Growing,
  values: LinearNode,
  mixed: string,
  head: number,
  heads: number,
): string {
  const weight = sliceConstant(graph, tensors, values.inputs[1]!, 'rows', head, heads);
  const bias = sliceConstant(graph, tensors, values.inputs[2]!, 'columns', head, heads);
  const output = `${values.output}#${head}`;
  const width = tensorOf({ tensors }, weight).shape[0] as number;
  tensors[output] = { name: output, role: 'activation', dtype: 'float32', shape: [1, width] };
  nodes.push({ ...values, name: `${values.name}#${head}`, inputs: [mixed, weight, bias], output });
  return output;
}

function transposed(tensors: Record<string, Tensor>, name: string): string {
  const tensor = tensorOf({ tensors }, name);
  if (!isConstant(tensor)) throw new Error(`'${name}' is not constant`);
  const [rows, columns] = tensor.shape as readonly [number, number];
  const data = allocate(tensor.dtype, rows * columns);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      data[column * rows + row] = tensor.data[row * columns + column]!;
    }
  }
  const output = `${name}.transposed`;
  tensors[output] = { ...tensor, name: output, shape: [columns, rows], data };
  return output;
}
