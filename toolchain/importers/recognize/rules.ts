/** All rules of the recognizer, in the order in which they are tried. */
import type { Rule } from './rule.ts';
import { attentionRules } from './rules-attention.ts';
import { bottleneckRules } from './rules-bottleneck.ts';
import { embeddingRules } from './rules-embedding.ts';
import { linearRules } from './rules-linear.ts';
import { normRules } from './rules-norm.ts';
import { pointwiseRules } from './rules-pointwise.ts';
import { quantizedRules } from './rules-quantized.ts';
import { rotaryRules } from './rules-rotary.ts';
import { rowRules } from './rules-rows.ts';

export const rules: readonly Rule[] = [
  ...embeddingRules,
  // Behind the embeddings, whose integers are no activations yet.
  ...quantizedRules,
  ...normRules,
  ...rotaryRules,
  ...attentionRules,
  ...bottleneckRules,
  ...linearRules,
  ...rowRules,
  // Last, for they take every function of one element.
  ...pointwiseRules,
];
