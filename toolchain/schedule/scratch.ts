/** How much scratch the kernel that will compute a node needs. */

import { tensorOf } from '../ir/graph.ts';
import { opOf } from '../ops/index.ts';
import { type KernelTable, kernelOfNode, scratchBytes } from './kernels.ts';
import type { ScratchBytes } from './schedule.ts';

/** `features`: of the core. The tensors' integer types must be set, before quantization too. */
export function kernelScratch(
  kernels: KernelTable,
  features: readonly string[],
  maxTokens: number,
): ScratchBytes {
  return (graph, node) => {
    const { kernel: family, operands } = opOf(node.op);
    if (family === null) return 0;
    const columnsOf = (index: number): number => tensorOf(graph, node.inputs[index]!).shape[1];
    const whole = operands.findIndex(({ reads }) => reads === 'all' || reads === 'past');
    return scratchBytes(kernelOfNode(kernels, graph, node, features), {
      inputs: columnsOf(0),
      outputs: tensorOf(graph, node.output).shape[1],
      columns: whole < 0 ? 0 : columnsOf(whole),
      tokens: maxTokens,
    });
  };
}
