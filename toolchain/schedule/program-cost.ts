/** What a whole program costs, by the measured cost of its kernels. */
import { type KernelTable, kernelOfNode } from '../../kernels/load.ts';
import { callCost } from '../report/cost.ts';
import type { Target } from '../targets.ts';
import type { Program } from './program.ts';

/** Instructions of an inference over `tokens` tokens, on the target's core. */
export function programInstructions(
  { graph, segments }: Pick<Program, 'graph' | 'segments'>,
  tokens: number,
  kernels: KernelTable,
  target: Target,
): number {
  let sum = 0;
  for (const segment of segments) {
    for (const { node } of segment.calls) {
      if (node === null) continue;
      const { name } = kernelOfNode(kernels, graph, node, target.core.features);
      sum += callCost(graph, node, name, segment, tokens, noConstants, target).instructions;
    }
  }
  return sum;
}

const noConstants = { weightBytes: 0, bytesPerRow: 0 };
