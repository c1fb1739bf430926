/** What each layer of a graph becomes, for a graph that is not understood to the end. */
import type { LayerOutcome } from '../../errors.ts';
import type { PrimitiveGraph } from '../primitive/graph.ts';
import { layerOf } from './layer-name.ts';
import type { Recognized } from './recognize.ts';

/** The user's layers in their order; those that only move elements about are left out. */
export function surveyLayers(
  graph: PrimitiveGraph,
  recognized: Recognized,
): readonly LayerOutcome[] {
  const layers = new Map<string, { becomes: Set<string>; problem?: string; waits: boolean }>();
  for (const node of graph.nodes) {
    const name = layerOf(node);
    const layer = layers.get(name) ?? { becomes: new Set<string>(), waits: false };
    layers.set(name, layer);
    const term = recognized.termOf(node.output);
    if (term?.kind === 'view' && term.source.name === name) layer.becomes.add(term.source.kind);
    if (term?.kind !== 'unsupported') continue;
    const own = term.problems.find((problem) => problem.node === node.name);
    if (own === undefined) layer.waits = true;
    else layer.problem ??= own.message;
  }
  return [...layers].flatMap(([name, { becomes, problem, waits }]): LayerOutcome[] => {
    if (problem !== undefined) return [{ name, outcome: 'unsupported', problem }];
    if (becomes.size > 0) return [{ name, outcome: 'mapped', becomes: [...becomes] }];
    return waits ? [{ name, outcome: 'behind-unsupported' }] : [];
  });
}
