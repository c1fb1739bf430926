/** Model-local functions, which PyTorch's exporter may leave, put in place of their calls. */
import { userError } from '../../errors.ts';
import { quote } from '../files.ts';
import type { OnnxAttribute, OnnxFunction, OnnxGraph, OnnxNode } from './schema.ts';

export function inlineFunctions(
  graph: OnnxGraph,
  functions: readonly OnnxFunction[],
  file: string,
): OnnxGraph {
  if (functions.length === 0) return graph;
  const byName = new Map(functions.map((one) => [keyOf(one.domain, one.name), one]));
  const nodes: OnnxNode[] = [];
  for (const [index, node] of graph.nodes.entries()) inline(node, `call${index}`, 0);
  return { ...graph, nodes };

  function inline(node: OnnxNode, prefix: string, depth: number): void {
    const called = byName.get(keyOf(node.domain, node.type));
    if (called === undefined) {
      nodes.push(node);
      return;
    }
    if (depth > maxDepth || nodes.length > maxNodes) {
      throw userError({
        code: 'bad-onnx',
        message: `the function ${quote(called.name)} calls itself, or makes too many nodes`,
        where: file,
        hint: 'Export the model anew.',
      });
    }
    const names = new Map<string, string>([['', '']]);
    for (const [i, name] of called.inputs.entries()) names.set(name, node.inputs[i] ?? '');
    for (const [i, name] of called.outputs.entries()) {
      if (node.outputs[i]) names.set(name, node.outputs[i]!);
    }
    const renamed = (name: string) => names.get(name) ?? `${prefix}/${name}`;
    const given = new Map(node.attributes.map((attribute) => [attribute.name, attribute]));
    const defaults = new Map(called.attributeDefaults.map((one) => [one.name, one]));
    for (const [i, inner] of called.nodes.entries()) {
      const attributes = inner.attributes.flatMap((attribute): OnnxAttribute[] => {
        if (attribute.reference === '') return [attribute];
        const value = given.get(attribute.reference) ?? defaults.get(attribute.reference);
        return value === undefined ? [] : [{ ...value, name: attribute.name, reference: '' }];
      });
      const copy: OnnxNode = {
        ...inner,
        attributes,
        name: node.name || inner.name,
        metadata: node.metadata.length > 0 ? node.metadata : inner.metadata,
        inputs: inner.inputs.map(renamed),
        outputs: inner.outputs.map(renamed),
      };
      inline(copy, `${prefix}.${i}`, depth + 1);
    }
  }
}

const maxDepth = 32;
const maxNodes = 1_000_000;

function keyOf(domain: string, name: string): string {
  return `${domain}::${name}`;
}
