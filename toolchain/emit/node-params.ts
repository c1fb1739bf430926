/**
 * The parameters of a node in the order in which the structs of kernels/c/kernels.h and the classes of
 * kernels/assemblyscript have them: one list, which both languages write. Linears and the ops that make
 * rows of tables are laid out for each language (c-constants.ts and wasm-params.ts, c-tables.ts and
 * wasm-tables.ts); AssemblyScript has one class for both normalizations.
 */
import { assertExhaustive, internalError } from '../errors.ts';
import type { DType } from '../ir/dtypes.ts';
import { type Graph, type Node, type Tensor, tensorOf } from '../ir/graph.ts';
import type { EmbedInteger } from '../ops/embed.ts';
import type { Requant } from '../ops/fixed-point.ts';
import type { NormInteger } from '../ops/layer-norm.ts';
import { constantOf } from '../ops/table-rows.ts';
import type { ConstantSuffix } from './c-names.ts';
import type { ConstantData } from './c-text.ts';

export type Param =
  | { readonly kind: 'number' | 'int64'; readonly field: string; readonly value: number }
  | { readonly kind: 'flag'; readonly field: string; readonly value: boolean }
  | { readonly kind: 'requant'; readonly field: string; readonly value: Requant }
  | ({ readonly kind: 'array' } & ParamArray)
  /** Arrays of the same length: in C beside each other, in AssemblyScript one of int32, in turns. */
  | { readonly kind: 'turns'; readonly arrays: readonly ParamArray[] }
  | { readonly kind: 'struct'; readonly field: string; readonly params: readonly Param[] };

export interface ParamArray {
  readonly field: string;
  /** What the name of the array in C ends with. */
  readonly suffix: ConstantSuffix;
  readonly data: ConstantData;
  readonly dtype: DType;
  readonly comment: string;
  /** Without it `encoder`. */
  readonly section?: 'embedding';
  /** Read a word at a time, and stored once for all nodes that have the same. */
  readonly isShared?: true;
  /** Kernels in AssemblyScript read eight elements at once, and what is behind the last. */
  readonly isPadded?: true;
}

/** Classes of AssemblyScript, with the files of `kernels/assemblyscript` that they are in. */
export const classFiles = {
  Linear: 'linear_finish',
  Attention: 'attention',
  NormalizedAttention: 'normalized_attention',
  AttendInputs: 'attend_inputs',
  Add: 'add',
  Norm: 'norm_row',
  AddNorm: 'add_layernorm',
  LookupRows: 'table_rows',
  WeightRows: 'weight_rows',
  ClusterRows: 'table_rows',
  CodebookRows: 'table_rows',
  Trigrams: 'trigrams',
  Embed: 'embed',
  EmbedNorm: 'embed_layernorm',
  MeanRows: 'mean_rows',
  CausalAttention: 'causal_attention',
  HeavyAttention: 'heavy_attention',
  Rotary: 'rotary',
  GatedProduct: 'gated_product',
  ScaledAdd: 'scaled_add',
  ResidualAdd: 'residual_add',
} as const;
export type ClassName = keyof typeof classFiles;

export interface NodeParams {
  /** In C. */
  readonly struct: string;
  /** Null: modules have no kernel for it. */
  readonly class: ClassName | null;
  readonly params: readonly Param[];
}

export type ListedNode = Exclude<
  Node<'legal'>,
  { readonly op: 'linear' | 'lookupRows' | 'weightRows' | 'clusterRows' | 'codebookRows' }
>;

/** Null for views. */
export function nodeParams(graph: Graph<'legal'>, node: ListedNode): NodeParams | null {
  const tensors = node.inputs.map((input) => tensorOf(graph, input));
  const [first, , third] = tensors.map(({ shape }) => shape[1]);
  const width = number('width', tensorOf(graph, node.output).shape[1]);
  switch (node.op) {
    case 'attention': {
      const { scoreMultipliers, scoreShifts, expTables, mix, zeroPoint } = node.integer;
      const { heads, causal, reach = -1 } = node.attrs;
      return {
        ...{ struct: 'lm_attention', class: 'Attention' },
        params: [
          ...headNumbers({ heads, head_width: first! / heads, value_width: third! / heads }),
          { kind: 'flag', field: 'causal', value: causal },
          number('reach', reach),
          scoreRequants(scoreMultipliers, scoreShifts),
          expTableArray(expTables),
          { kind: 'requant', field: 'mix', value: mix },
          number('zero_point', zeroPoint),
        ],
      };
    }
    case 'normalizedAttention': {
      const { integer, attrs } = node;
      const { heads } = attrs;
      const softmax = { comment: 'softmax a head' };
      return {
        ...{ struct: 'lm_normalized_attention', class: 'NormalizedAttention' },
        params: [
          ...headNumbers({ heads, head_width: first! / heads, value_width: third! / heads }),
          scoreRequants(integer.scoreMultipliers, integer.scoreShifts),
          {
            kind: 'turns',
            arrays: [
              named('softmax_multipliers', integer.softmaxMultipliers, 'int32', softmax),
              named('softmax_shifts', integer.softmaxShifts, 'int8', softmax),
              named('smallest_differences', integer.smallestDifferences, 'int32', softmax),
            ],
          },
          { kind: 'requant', field: 'mix', value: integer.mix },
          number('zero_point', integer.zeroPoint),
        ],
      };
    }
    case 'attendInputs': {
      const { integer, attrs } = node;
      const comment = 'exp(-difference) in Q15, (heads, 256)';
      return {
        ...{ struct: 'lm_attend_inputs', class: 'AttendInputs' },
        params: [
          ...headNumbers({ heads: attrs.heads, width: width.value / attrs.heads }),
          scoreRequants(integer.scoreMultipliers, integer.scoreShifts),
          expTableArray(integer.expTables),
          {
            kind: 'array',
            ...named('rescale_tables', integer.rescaleTables, 'int16', { comment }),
          },
          number('zero_point', integer.inputZeroPoint),
          { kind: 'requant', field: 'mix', value: integer.mix },
        ],
      };
    }
    case 'causalAttention':
    case 'windowAttention': {
      const params = causalParams(node, first!, third!);
      return { struct: 'lm_causal_attention', class: 'CausalAttention', params };
    }
    case 'heavyAttention': {
      const { rows, pinned, steps } = node.attrs;
      const params = causalParams(node, first!, third!);
      return {
        ...{ struct: 'lm_heavy_attention', class: 'HeavyAttention' },
        params: [
          { kind: 'struct', field: 'attention', params },
          number('rows', rows),
          number('pinned', pinned),
          number('steps', steps),
        ],
      };
    }
    case 'rotary': {
      const table = constantOf(tensors[1]!);
      const comment = 'cosine and sine in Q14';
      const angles = named('angles', table.data, 'int16', { comment, isShared: true });
      return {
        ...{ struct: 'lm_rotary', class: 'Rotary' },
        params: [
          number('heads', width.value / table.shape[1]),
          number('head_width', table.shape[1]),
          number('multiplier', node.integer.multiplier),
          number('shift', node.integer.shift),
          { kind: 'array', ...angles, field: 'table' },
        ],
      };
    }
    case 'gatedProduct': {
      const { table, zeroPointUp, multiplier, zeroPoint } = node.integer;
      const gates = named('gates', table, 'int16', { comment: 'the gate by value + 128' });
      return {
        ...{ struct: 'lm_gated_product', class: 'GatedProduct' },
        params: [
          width,
          { kind: 'array', ...gates, field: 'table' },
          number('zero_point_up', zeroPointUp),
          number('multiplier', multiplier),
          number('zero_point', zeroPoint),
        ],
      };
    }
    case 'add': {
      const { a, b, sum, zeroPointA, zeroPointB, zeroPoint, min, max } = node.integer;
      return {
        ...{ struct: 'lm_add', class: 'Add' },
        params: [
          width,
          number('zero_point_a', zeroPointA),
          number('zero_point_b', zeroPointB),
          { kind: 'requant', field: 'a', value: a },
          { kind: 'requant', field: 'b', value: b },
          { kind: 'requant', field: 'sum', value: sum },
          number('zero_point', zeroPoint),
          number('min', min),
          number('max', max),
        ],
      };
    }
    case 'scaledAdd': {
      const { multiplier, zeroPointB, offset, shift, min, max } = node.integer;
      const { data } = constantOf(tensors[2]!);
      const comment = 'of the columns of b';
      return {
        ...{ struct: 'lm_scaled_add', class: 'ScaledAdd' },
        params: [
          width,
          number('multiplier', multiplier),
          { kind: 'array', ...named('gamma', data, 'int32', { comment }) },
          number('zero_point_b', zeroPointB),
          number('offset', offset),
          number('shift', shift),
          number('min', min),
          number('max', max),
        ],
      };
    }
    case 'residualAdd': {
      const { multiplierA, multiplierB, shift } = node.integer;
      return {
        ...{ struct: 'lm_residual_add', class: 'ResidualAdd' },
        params: [
          width,
          number('multiplier_a', multiplierA),
          number('multiplier_b', multiplierB),
          number('shift', shift),
        ],
      };
    }
    case 'layerNorm': {
      const params = normParams(node.integer, tensors[1]!, tensors[2]!);
      return { struct: 'lm_norm', class: 'Norm', params };
    }
    case 'addLayerNorm': {
      const { integer } = node;
      return {
        ...{ struct: 'lm_add_layernorm', class: 'AddNorm' },
        params: [
          {
            ...{ kind: 'struct', field: 'norm' },
            params: normParams(integer, tensors[2]!, tensors[3]!),
          },
          number('multiplier_a', integer.multiplierA),
          number('multiplier_b', integer.multiplierB),
          number('zero_point_a', integer.zeroPointA),
          number('zero_point_b', integer.zeroPointB),
        ],
      };
    }
    case 'trigrams':
      return { struct: 'lm_trigrams', class: 'Trigrams', params: [number('width', first!)] };
    case 'embed': {
      const { integer } = node;
      return {
        ...{ struct: 'lm_embed', class: 'Embed' },
        params: [
          width,
          ...addendParams(integer, tensors[3]!),
          number('offset', integer.offset),
          number('shift', integer.shift),
        ],
      };
    }
    case 'embedLayerNorm': {
      const { integer } = node;
      return {
        ...{ struct: 'lm_embed_layernorm', class: 'EmbedNorm' },
        params: [
          {
            ...{ kind: 'struct', field: 'norm' },
            params: normParams(integer, tensors[4]!, tensors[5]!),
          },
          ...addendParams(integer, tensors[3]!),
        ],
      };
    }
    case 'rmsNorm': {
      const { epsilon, fraction, outShift, offset, min, max } = node.integer;
      const { data } = constantOf(tensors[1]!);
      return {
        ...{ struct: 'lm_rms_norm', class: 'Norm' },
        params: [
          width,
          { kind: 'int64', field: 'epsilon', value: epsilon },
          number('fraction', fraction),
          number('out_shift', outShift),
          number('offset', offset),
          number('min', min),
          number('max', max),
          { kind: 'array', ...named('gamma', data, 'int16', { comment: 'gamma', isPadded: true }) },
        ],
      };
    }
    case 'meanRows': {
      const { zeroPoint, mean, min, max } = node.integer;
      return {
        ...{ struct: 'lm_mean_rows', class: 'MeanRows' },
        params: [
          width,
          number('zero_point', zeroPoint),
          { kind: 'requant', field: 'mean', value: mean },
          number('min', min),
          number('max', max),
        ],
      };
    }
    case 'selectRow':
    case 'concat':
      return null;
    case 'activation':
      throw internalError(`op '${node.op}' has no kernel`, node.name);
    default:
      return assertExhaustive(node);
  }
}

function causalParams(
  { attrs, integer }: ListedNode & { readonly op: `${'causal' | 'window' | 'heavy'}Attention` },
  queryColumns: number,
  valueColumns: number,
): readonly Param[] {
  const { scoreMultipliers, expTables, mix, zeroPoint } = integer;
  const { heads, keyValueHeads } = attrs;
  const comment = 'score scale a head';
  return [
    ...headNumbers({
      ...{ heads, key_value_heads: keyValueHeads },
      ...{ head_width: queryColumns / heads, value_width: valueColumns / keyValueHeads },
    }),
    { kind: 'array', ...named('score_multipliers', scoreMultipliers, 'int32', { comment }) },
    expTableArray(expTables),
    { kind: 'requant', field: 'mix', value: mix },
    number('zero_point', zeroPoint),
  ];
}

function number(field: string, value: number) {
  return { kind: 'number', field, value } as const;
}

function headNumbers(numbers: Readonly<Record<string, number>>): readonly Param[] {
  return Object.entries(numbers).map(([field, value]) => number(field, value));
}

/** An array whose name in C ends as the field is called. */
function named(
  suffix: ConstantSuffix,
  data: ConstantData,
  dtype: DType,
  rest: Omit<ParamArray, 'field' | 'suffix' | 'data' | 'dtype'>,
): ParamArray {
  return { field: suffix, suffix, data, dtype, ...rest };
}

function scoreRequants(multipliers: ConstantData, shifts: ConstantData): Param {
  const rest = { comment: 'score scale a head' };
  return {
    kind: 'turns',
    arrays: [
      named('score_multipliers', multipliers, 'int32', rest),
      named('score_shifts', shifts, 'int8', rest),
    ],
  };
}

function expTableArray(expTables: ConstantData): Param {
  const comment = '127 * exp(-difference), (heads, 256)';
  return { kind: 'array', ...named('exp_tables', expTables, 'uint8', { comment }) };
}

function addendParams(
  integer: Pick<EmbedInteger, `multiplier${'Word' | 'Position' | 'Segment'}`>,
  segment: Tensor,
): readonly Param[] {
  const { data, shape } = constantOf(segment);
  const comment = `(${shape.join(', ')})`;
  return [
    { kind: 'array', ...named('segment', data, 'int8', { comment, section: 'embedding' }) },
    number('segments', shape[0] as number),
    number('multiplier_word', integer.multiplierWord),
    number('multiplier_position', integer.multiplierPosition),
    number('multiplier_segment', integer.multiplierSegment),
  ];
}

function normParams(
  { epsilon, fraction, outShift, min, max }: NormInteger,
  gamma: Tensor,
  beta: Tensor,
): readonly Param[] {
  const { data, shape } = constantOf(gamma);
  const offsets = constantOf(beta).data;
  const comment = 'beta, output zero point and rounding half';
  return [
    number('width', shape[1]),
    { kind: 'int64', field: 'epsilon', value: epsilon },
    number('fraction', fraction),
    number('out_shift', outShift),
    number('min', min),
    number('max', max),
    { kind: 'array', ...named('gamma', data, 'int16', { comment: 'gamma', isPadded: true }) },
    { kind: 'array', ...named('beta', offsets, 'int32', { comment, isPadded: true }) },
  ];
}
