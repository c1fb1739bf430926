/** Follows a recipe: the same model, its tables and weights as codes, tokens that it can do without gone. */
import { userError } from '../errors.ts';
import { quote } from '../importers/files.ts';
import type { ImportedModel } from '../importers/index.ts';
import { type Graph, isConstant, type Node, type Tensor, tensorOf } from '../ir/graph.ts';
import { dropDead, inOrder } from '../ir/rewrite.ts';
import { verify } from '../ir/verify.ts';
import { operandOf, opOf } from '../ops/index.ts';
import type { TableAttrs } from '../ops/table-rows.ts';
import { checkRecipe } from './check-recipe.ts';
import { dropTokens } from './drop-tokens.ts';
import type { CodedWeight, Recipe } from './recipe.ts';
import { tableRows } from './table-nodes.ts';

/** Everything in the recipe is checked first: it may be of anyone. */
export function applyRecipe(model: ImportedModel, recipe: Recipe): ImportedModel {
  if (recipe.modelSha256 !== model.card.sha256) throw otherModel(model, recipe);
  checkRecipe(model.graph, recipe);
  const tokenizer = dropTokens(model.tokenizer, recipe.droppedTokens);
  const graph = withTables(withConstants(model.graph, recipe), recipe.tables);
  verify(graph);
  return { ...model, graph, tokenizer };
}

function otherModel(model: ImportedModel, recipe: Recipe) {
  return userError({
    code: 'other-model',
    message: 'the recipe was made for another model',
    where: `it names the model sha256:${recipe.modelSha256.slice(0, 12)}…, ${quote(model.card.name)} is sha256:${model.card.sha256.slice(0, 12)}…`,
    hint: 'Give the model that the recipe was searched on, or search again: lm2mcu compress <model>',
  });
}

function withConstants(graph: Graph<'float'>, { weights, constants }: Recipe): Graph<'float'> {
  const tensors: Record<string, Tensor> = { ...graph.tensors };
  for (const [name, coded] of Object.entries(weights)) {
    tensors[name] = codedWeight(tensorOf(graph, name), coded);
  }
  for (const [name, data] of Object.entries(constants)) {
    tensors[name] = { ...tensorOf(graph, name), data: data as Float32Array<ArrayBuffer> };
  }
  return { ...graph, tensors };
}

function codedWeight(tensor: Tensor, { bits, codes, scales }: CodedWeight): Tensor {
  return {
    ...tensor,
    dtype: bits === 4 ? 'int4' : 'int8',
    data: codes as Int8Array<ArrayBuffer>,
    quant: { kind: 'per-row', scales: Float64Array.from(scales) },
  };
}

/** Rows of a coded table are made by ops; so are those that nodes read from a constant themselves. */
export function withTables(graph: Graph<'float'>, tables: Recipe['tables']): Graph<'float'> {
  const tensors: Record<string, Tensor> = { ...graph.tensors };
  const tokenIds = graph.inputs[0]!;
  const put = (index: TableAttrs['index'], table: string, output: string): Node<'float'>[] => {
    const made = tableRows(tables[table]!, { index, table, output, tokenIds });
    for (const tensor of made.tensors) tensors[tensor.name] = tensor;
    return [...made.nodes];
  };
  const nodes = graph.nodes.flatMap((node): Node<'float'>[] => {
    if (opOf(node.op).table !== undefined) {
      const table = node.inputs.find((name) => Object.hasOwn(tables, name));
      if (table === undefined) return [node];
      return put((node.attrs as TableAttrs).index, table, node.output);
    }
    const made: Node<'float'>[] = [];
    const inputs = node.inputs.map((name, operand) => {
      const isByToken =
        isConstant(tensorOf(graph, name)) && operandOf(node.op, operand).reads === 'row';
      if (!isByToken || !Object.hasOwn(tables, name)) return name;
      const output = name.endsWith('.weight') ? name.slice(0, -'.weight'.length) : `${name}.rows`;
      made.push(...put('position', name, output));
      return output;
    });
    return [...made, { ...node, inputs }];
  });
  return dropDead(inOrder({ ...graph, nodes, tensors }));
}
