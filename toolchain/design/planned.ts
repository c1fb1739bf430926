/**
 * The graph and the arena of a decoder that has no weights yet: the planner's word on what the formulas
 * of `costs.ts` say.
 */
import { parseDecoderConfig } from '../importers/decoder-config.ts';
import { buildDecoder } from '../importers/decoder-layers.ts';
import { decoderWeights } from '../importers/decoder-weights.ts';
import { graphBuilder } from '../ir/build.ts';
import type { Graph } from '../ir/graph.ts';
import { fuseTable } from '../passes/fuse-table.ts';
import { exactPasses } from '../pipeline.ts';
import { withIntegerDtypes } from '../quantize/quantize.ts';
import { kernelsFor, loadKernels } from '../schedule/kernels.ts';
import { schedule } from '../schedule/schedule.ts';
import { kernelScratch } from '../schedule/scratch.ts';
import type { Target } from '../targets.ts';
import { type Architecture, configOf } from './architecture.ts';

/** Bytes of the arena with one row a tile: no plan of a decoder takes less. */
export function plannedArenaBytes(architecture: Architecture, { core }: Target): number {
  const graph = fuseTable(withIntegerDtypes(exactPasses(emptyDecoder(architecture), 'native')));
  const maxTokens = architecture.context;
  const scratchBytes = kernelScratch(kernelsFor(core.features, loadKernels()), maxTokens);
  const plan = { maxTokens, tileRows: 1, recomputeInputs: false, scratchBytes };
  return schedule(graph, plan).arenaBytes;
}

/** Its weights are all zero. */
function emptyDecoder(architecture: Architecture): Graph<'float'> {
  const bytes = new TextEncoder().encode(JSON.stringify(configOf(architecture)));
  const config = parseDecoderConfig('merino', bytes);
  const weights = decoderWeights(
    {
      has: () => true,
      load: (_name, shape) => new Float32Array(shape.reduce((a, b) => a * b)),
    },
    config,
  );
  const builder = graphBuilder('design');
  return builder.finish([buildDecoder(builder, config, weights, config.vocabulary, null)]);
}
