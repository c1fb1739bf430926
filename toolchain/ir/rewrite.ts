/** Building a changed copy of a graph: the few moves that passes are made of. */
import { type Graph, type Node, readersOf, type Stage } from './graph.ts';
import { verify } from './verify.ts';

export interface Pass<S extends Stage> {
  readonly name: string;
  run(graph: Graph<S>): Graph<S>;
}

/** Runs passes in order; what each leaves behind is verified. */
export function runPasses<S extends Stage>(graph: Graph<S>, passes: readonly Pass<S>[]): Graph<S> {
  let current = graph;
  for (const pass of passes) {
    current = pass.run(current);
    verify(current);
  }
  return current;
}

const knownProducers = new WeakMap<Graph<Stage>, ReadonlyMap<string, Node>>();

/** The node that makes a tensor, or undefined for inputs and constants; found once a graph. */
export function producersOf<S extends Stage>(graph: Graph<S>): ReadonlyMap<string, Node<S>> {
  const known = knownProducers.get(graph);
  if (known !== undefined) return known as ReadonlyMap<string, Node<S>>;
  const producers = new Map(graph.nodes.map((node) => [node.output, node]));
  knownProducers.set(graph, producers as ReadonlyMap<string, Node>);
  return producers;
}

/** True if exactly one operand in the whole graph reads the tensor and it is no graph output. */
export function isReadOnce(graph: Graph<Stage>, name: string): boolean {
  return (readersOf(graph).get(name)?.length ?? 0) === 1 && !graph.outputs.includes(name);
}

/** Nodes that no output needs, and tensors that no node reads, are gone. */
export function dropDead<S extends Stage>(graph: Graph<S>): Graph<S> {
  const needed = new Set([...graph.outputs, ...graph.inputs]);
  const nodes: Node<S>[] = [];
  for (const node of graph.nodes.toReversed()) {
    if (!needed.has(node.output)) continue;
    for (const name of node.inputs) needed.add(name);
    nodes.push(node);
  }
  const tensors = Object.fromEntries(
    Object.entries(graph.tensors).filter(([name]) => needed.has(name)),
  );
  return { ...graph, nodes: nodes.toReversed(), tensors };
}

/** The nodes in an order in which every tensor is made before it is read; otherwise as they were. */
export function inOrder<S extends Stage>(graph: Graph<S>): Graph<S> {
  const producers = producersOf(graph);
  const nodes = new Set<Node<S>>();
  const visit = (node: Node<S>): void => {
    if (nodes.has(node)) return;
    for (const name of node.inputs) {
      const producer = producers.get(name);
      if (producer !== undefined) visit(producer);
    }
    nodes.add(node);
  };
  for (const node of graph.nodes) visit(node);
  return { ...graph, nodes: [...nodes] };
}
