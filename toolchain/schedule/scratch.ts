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
    if (opOf(node.op).kernel === null) return 0;
    const inputs = tensorOf(graph, node.inputs[0]!).shape[1];
    const kernel = kernelOfNode(kernels, graph, node, features);
    return scratchBytes(kernel, { inputs, tokens: maxTokens });
  };
}
