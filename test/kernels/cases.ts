/** Random calls of every kernel family and what the op table says they compute. */
import fc from 'fast-check';
import type { Kernel } from '../../toolchain/schedule/kernels.ts';
import {
  attendInputsCase,
  attentionCase,
  normalizedAttentionCase,
  randomAttendInputs,
  randomAttention,
  randomNormalizedAttention,
} from './cases/attention.ts';
import { embedCase, randomScaledAddCase, randomTrigramsCase } from './cases/bottleneck.ts';
import { type Case, normWidths, randomRange, widths } from './cases/common.ts';
import {
  causalAttentionCase,
  gatedProductCase,
  heavyAttentionCase,
  randomCausal,
  randomHeavy,
  randomRotaryCase,
  randomRows,
  residualAddCase,
  rmsNormCase,
} from './cases/decoder.ts';
import { linearCase, randomLinear } from './cases/linear.ts';
import {
  addCase,
  addLayerNormCase,
  embedLayerNormCaseOf,
  layerNormCaseOf,
  meanRowsCaseOf,
  randomAdd,
  randomLayerNorm,
} from './cases/rows.ts';
import {
  randomClusterCase,
  randomCodebookCase,
  randomLookupCase,
  randomWeightRowsCase,
} from './cases/tables.ts';
import { pick, randomInt, seedRandom } from './random.ts';

/** `count` cases of a kernel; the same seed gives the same cases. */
export function sampleCases(kernel: Kernel, count: number, seed: number): Case[] {
  const family = families[kernel.family];
  if (family === undefined) throw new RangeError(`no cases for the family '${kernel.family}'`);
  return fc.sample(fc.integer({ min: 1, max: 0x7fffffff }), { numRuns: count, seed }).map((s) => {
    seedRandom(s);
    return family(kernel);
  });
}

const families: Readonly<Record<string, (kernel: Kernel) => Case>> = {
  linear: (kernel) => linearCase(kernel, randomLinear(kernel)),
  attention: (kernel) => attentionCase(kernel, randomAttention()),
  normalized_attention: (kernel) => normalizedAttentionCase(kernel, randomNormalizedAttention()),
  attend_inputs: (kernel) => attendInputsCase(kernel, randomAttendInputs()),
  causal_attention: (kernel) => causalAttentionCase(kernel, randomCausal()),
  heavy_attention: (kernel) => heavyAttentionCase(kernel, randomHeavy()),
  rotary: randomRotaryCase,
  gated_product: (kernel) => gatedProductCase(kernel, randomRows()),
  residual_add: (kernel) => residualAddCase(kernel, randomRows()),
  trigrams: randomTrigramsCase,
  embed: (kernel) => embedCase(kernel, randomRows()),
  scaled_add: randomScaledAddCase,
  rms_norm: (kernel) => rmsNormCase(kernel, randomRows(true)),
  add: (kernel) => addCase(kernel, randomAdd()),
  layer_norm: (kernel) => layerNormCaseOf(kernel, randomLayerNorm(kernel)),
  add_layernorm: addLayerNormCase,
  lookup_rows: randomLookupCase,
  weight_rows: randomWeightRowsCase,
  cluster_rows: randomClusterCase,
  codebook_rows: randomCodebookCase,
  embed_layernorm: (kernel) =>
    embedLayerNormCaseOf(kernel, {
      ...{ width: pick(normWidths), rows: randomInt(1, 5), range: randomRange(kernel) },
      inPlace: kernel.output === 'int8' && pick([false, true]),
    }),
  mean_rows: (kernel) => {
    const tokens = pick([1, 2, 3, 16, 17, 100, 300]);
    const blockRows = pick([
      [tokens, tokens],
      [1, 7],
      [16, 16],
    ] as const);
    return meanRowsCaseOf(kernel, pick(widths), tokens, blockRows);
  },
};
