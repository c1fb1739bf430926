/** How much scratch the kernel that will compute a node needs. */
import { type KernelTable, scratchBytes, selectKernel } from '../../kernels/load.ts';
import { tensorOf } from '../ir/graph.ts';
import { opOf } from '../ops/index.ts';
import type { ScratchBytes } from './schedule.ts';

/** `features`: of the core. Graph outputs are int16, all else is int8, before quantization too. */
export function kernelScratch(
  kernels: KernelTable,
  features: readonly string[],
  maxTokens: number,
): ScratchBytes {
  return (graph, node) => {
    const family = opOf(node.op).kernel;
    if (family === null) return 0;
    const dtype = graph.outputs.includes(node.output) ? 'int16' : 'int8';
    const inputs = tensorOf(graph, node.inputs[0]!).shape[1];
    const kernel = selectKernel(kernels, family, dtype, features);
    return scratchBytes(kernel, { inputs, tokens: maxTokens });
  };
}
