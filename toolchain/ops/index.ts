/** THE op table: one row an operation. Importers, passes, quantizer, scheduler and emitters read it. */
import { add } from './add.ts';
import { attendInputs } from './attend-inputs.ts';
import { attention } from './attention.ts';
import { causalAttention } from './causal-attention.ts';
import { clusterRows } from './cluster-rows.ts';
import { codebookRows } from './codebook-rows.ts';
import { embed } from './embed.ts';
import { gatedProduct } from './gated-product.ts';
import { heavyAttention } from './heavy-attention.ts';
import { addLayerNorm, embedLayerNorm, layerNorm } from './layer-norm.ts';
import { activation, linear } from './linear.ts';
import { normalizedAttention } from './normalized-attention.ts';
import type { OpDef } from './op.ts';
import { residualAdd } from './residual-add.ts';
import { rmsNorm } from './rms-norm.ts';
import { rotary } from './rotary.ts';
import { concat, meanRows, selectRow } from './rows.ts';
import { scaledAdd } from './scaled-add.ts';
import { lookupRows } from './table-rows.ts';
import { trigrams } from './trigrams.ts';
import { weightRows } from './weight-rows.ts';
import { windowAttention } from './window-attention.ts';

export const ops = {
  lookupRows,
  weightRows,
  clusterRows,
  codebookRows,
  trigrams,
  embed,
  embedLayerNorm,
  linear,
  activation,
  attention,
  normalizedAttention,
  attendInputs,
  causalAttention,
  windowAttention,
  heavyAttention,
  rotary,
  gatedProduct,
  add,
  scaledAdd,
  residualAdd,
  layerNorm,
  rmsNorm,
  addLayerNorm,
  selectRow,
  meanRows,
  concat,
} as const;

export type OpName = keyof typeof ops;
export type AttrsOf<N extends OpName> =
  (typeof ops)[N] extends OpDef<infer A, infer _I> ? A : never;
export type IntegerOf<N extends OpName> =
  (typeof ops)[N] extends OpDef<infer _A, infer I> ? I : never;

/** A row of the table without its attribute types, for code that treats all ops alike. */
export type AnyOp = OpDef<unknown, unknown>;

export function opOf(name: OpName): AnyOp {
  return ops[name] as unknown as AnyOp;
}

/** The operand description of input `index`, the last one repeated for a variadic op. */
export function operandOf(name: OpName, index: number): AnyOp['operands'][number] {
  const { operands } = opOf(name);
  const operand = operands[Math.min(index, operands.length - 1)];
  if (operand === undefined) throw new Error(`op '${name}' has no operand ${index}`);
  return operand;
}
