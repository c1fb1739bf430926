/** How much scratch the kernel that will compute a node needs. */

import { tensorOf } from '../ir/graph.ts';
import { opOf } from '../ops/index.ts';
import { type KernelOf, scratchBytes } from './kernels.ts';
import type { ScratchBytes } from './schedule.ts';

export function kernelScratch(kernelOf: KernelOf, maxTokens: number): ScratchBytes {
  return (graph, node) => {
    const { kernel: family, operands } = opOf(node.op);
    if (family === null) return 0;
    const columnsOf = (index: number): number => tensorOf(graph, node.inputs[index]!).shape[1];
    const ring = opOf(node.op).cache?.(node.attrs);
    const whole = operands.findIndex(({ reads }) => reads === 'all' || reads === 'past');
    return scratchBytes(kernelOf(graph, node), {
      inputs: columnsOf(0),
      outputs: tensorOf(graph, node.output).shape[1],
      columns: whole < 0 ? 0 : columnsOf(whole),
      tokens: ring?.rows ?? maxTokens,
    });
  };
}
