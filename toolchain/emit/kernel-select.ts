/**
 * Kernels of every core, of which the compiler takes the fastest that the core it makes code for can
 * run: for a library, whose core is not known here. All give the same bits, from the same weights.
 */
import { readFileSync } from 'node:fs';
import { internalError } from '../errors.ts';
import type { Graph, Node, Stage } from '../ir/graph.ts';
import { packagePath } from '../package-root.ts';
import { type Kernel, type KernelTable, kernelsFor } from '../schedule/kernels.ts';
import type { PackingName } from '../schedule/packings.ts';
import type { SourceFile } from './source-file.ts';

/** Best first, with what the compiler says of such a core. */
const cores = [
  { features: ['dsp', 'mve'], condition: 'defined(__ARM_FEATURE_MVE)' },
  {
    features: ['dsp'],
    condition: "defined(__ARM_FEATURE_DSP) && __ARM_ARCH_PROFILE == 'M'",
  },
  { features: [], condition: null },
] as const;

/** A core that is not known. */
export interface AnyCore {
  /** What kernels can count on whatever the core is. */
  readonly extraFeatures: readonly string[];
}

/** Feature sets that a library must be ready for. */
export function anyCoreFeatures({ extraFeatures }: AnyCore): readonly (readonly string[])[] {
  return cores.map(({ features }) => [...features, ...extraFeatures]);
}

/** Orders of weights that kernels of every core read: one for each integer type. */
const sharedPackings: readonly PackingName[] = ['row-major', 'nibbles'];

/** The kernels that read the weights of a linear as all cores do. */
export function sharedKernels(table: KernelTable): KernelTable {
  const isShared = ({ weights }: Kernel): boolean =>
    weights === undefined || sharedPackings.includes(weights);
  return { ...table, kernels: table.kernels.filter(isShared) };
}

export function selectMacro(portableName: string): string {
  return portableName.toUpperCase();
}

/** The kernels that may compute the nodes, `select.h` that chooses among them, and `common` files. */
export function selectedKernels(
  table: KernelTable,
  graph: Graph<Stage>,
  nodes: readonly Node[],
  common: readonly string[],
  anyCore: AnyCore,
): readonly SourceFile[] {
  const byName = new Map<string, readonly Kernel[]>();
  const choices = anyCoreFeatures(anyCore).map((features) => kernelsFor(features, table));
  for (const node of nodes) {
    const variants = choices.map((kernelOf) => kernelOf(graph, node));
    byName.set(variants.at(-1)!.name, variants);
  }
  const distinct = [...byName].sort(([a], [b]) => (a < b ? -1 : 1)).map(([, kernels]) => kernels);
  for (const variants of distinct) checkSameWeights(variants);
  const kernels = distinct.flat();
  const files = [...new Set([...common, ...kernels.map(({ file }) => file)])].sort();
  const sources = files.map((file) => {
    const needs = (kernels.find((kernel) => kernel.file === file)?.needs ?? []).filter(
      (need) => !anyCore.extraFeatures.includes(need),
    );
    return needs.length === 0 ? kernelSource(file) : guarded(kernelSource(file), needs);
  });
  return [...sources, { path: 'kernels/select.h', content: selectHeader(distinct) }];
}

/** A file of `kernels/` as the generated program has it. */
export function kernelSource(file: string): SourceFile {
  return {
    path: `kernels/${file.replace(/^c\//, '')}`,
    content: readFileSync(packagePath('kernels', file), 'utf8'),
  };
}

function checkSameWeights(variants: readonly Kernel[]): void {
  const [first] = variants;
  if (variants.every(({ weights }) => weights === first?.weights)) return;
  throw internalError('kernels of one kind read weights in different orders', first?.family);
}

/** Elsewhere the file is empty but for an include, for C forbids nothing at all. */
function guarded({ path, content }: SourceFile, needs: readonly string[]): SourceFile {
  const core = cores.findLast(({ features }) => needs.every((need) => isIn(features, need)));
  return {
    path,
    content: `#include <stdint.h>\n#if ${core?.condition}\n\n${content}\n#endif\n`,
  };
}

function isIn(features: readonly string[], feature: string): boolean {
  return features.includes(feature);
}

function selectHeader(kinds: readonly (readonly Kernel[])[]): string {
  const blocks = cores.map(({ condition }, index) => {
    const branch = index === 0 ? `#if ${condition}` : condition ? `#elif ${condition}` : '#else';
    const defines = kinds.map(
      (variants) => `#define ${selectMacro(variants.at(-1)!.name)} ${variants[index]!.name}\n`,
    );
    return `${branch}\n${defines.join('')}`;
  });
  return `/* The fastest kernels of the core that the compiler makes code for; all give the same bits. */
#ifndef LM_SELECT_H
#define LM_SELECT_H

#include "kernels.h"

${blocks.join('')}#endif

#endif
`;
}
