/** The parameters of every node as C: a struct of `kernels.h` a node, and the arrays it points to. */
import { assertExhaustive, internalError } from '../errors.ts';
import { type DType, dtypes } from '../ir/dtypes.ts';
import { type Graph, isConstant, type Node, tensorOf } from '../ir/graph.ts';
import type { AddNormInteger, EmbedNormInteger, NormInteger } from '../ops/layer-norm.ts';
import type { ConstantSuffix } from './c-names.ts';
import { tableConstants } from './c-tables.ts';
import type { ConstantArray } from './c-text.ts';
import { identifier, initializer } from './c-text.ts';

/** Sections by what a constant is for; placement and report go by them. */
export const sectionMacros = {
  encoder: 'LM2MCU_SECTION_ENCODER',
  constraint: 'LM2MCU_SECTION_CONSTRAINT',
  embedding: 'LM2MCU_SECTION_EMBEDDING',
  tokenizer: 'LM2MCU_SECTION_TOKENIZER',
} as const;
export const sectionNames = {
  encoder: '.lm2mcu.encoder',
  constraint: '.lm2mcu.constraint',
  embedding: '.lm2mcu.embedding',
  tokenizer: '.lm2mcu.tokenizer',
  arena: '.lm2mcu.arena',
} as const;

/** The C type of the struct, its initialiser, and the arrays; null for nodes without a kernel. */
export interface NodeConstants {
  readonly name: string;
  readonly type: string;
  readonly initializer: string;
  readonly arrays: readonly ConstantArray[];
}

/** Lays out linear weights as the chosen kernel reads them. */
export type PackWeights = (
  node: Node,
  weights: Int8Array,
  rows: number,
  columns: number,
) => Int8Array;

/** `name`: what the C names begin with. */
export function nodeConstants(
  graph: Graph<'legal'>,
  node: Node<'legal'>,
  packWeights: PackWeights,
  name = identifier(node.name),
): NodeConstants | null {
  const array = (
    suffix: ConstantSuffix,
    data: ConstantArray['data'],
    dtype: DType,
    comment: string,
    section: keyof typeof sectionMacros = 'encoder',
  ): ConstantArray => ({
    name: `${name}_${suffix}`,
    ctype: dtypes[dtype].c,
    data,
    comment: `${node.name}: ${comment}`,
    isStatic: true,
    section: sectionMacros[section],
  });
  const constant = (
    index: number,
  ): { readonly data: ConstantArray['data']; rows: number; columns: number } => {
    const tensor = tensorOf(graph, node.inputs[index]!);
    if (!isConstant(tensor)) throw internalError(`'${tensor.name}' is not constant`, node.name);
    return { data: tensor.data, rows: tensor.shape[0] as number, columns: tensor.shape[1] };
  };
  /** Aligned, and stored once for all that have the same. */
  const shared = (one: ConstantArray): ConstantArray => ({
    ...one,
    alignment: 'LM2MCU_ALIGNED_WORDS',
  });
  switch (node.op) {
    case 'linear': {
      const weight = constant(1);
      const { multipliers, shifts, zeroPoint, min, max, table } = node.integer;
      const packed = packWeights(node, weight.data as Int8Array, weight.rows, weight.columns);
      const shape = `(${weight.rows}, ${weight.columns})`;
      const arrays = [
        shared(array('weights', packed, 'int8', `weights ${shape}`)),
        array('bias', constant(2).data, 'int32', 'bias with the input zero point'),
        array('multipliers', multipliers, 'int32', 'requantization'),
        array('shifts', shifts, 'int8', 'requantization'),
        ...(table === null ? [] : [array('table', table, 'int8', 'activation by value + 128')]),
      ];
      return {
        name: `${name}_params`,
        type: 'lm_linear',
        arrays,
        initializer: initializer({
          inputs: weight.columns,
          outputs: weight.rows,
          weights: `${name}_weights`,
          bias: `${name}_bias`,
          multipliers: `${name}_multipliers`,
          shifts: `${name}_shifts`,
          zero_point: zeroPoint,
          min,
          max,
          table: table === null ? 'NULL' : `${name}_table`,
        }),
      };
    }
    case 'attention': {
      const { scoreMultipliers, scoreShifts, expTables, mix, zeroPoint } = node.integer;
      const [q, , v] = node.inputs.map((input) => tensorOf(graph, input).shape[1]);
      const { heads, causal } = node.attrs;
      return {
        name: `${name}_params`,
        type: 'lm_attention',
        arrays: [
          array('score_multipliers', scoreMultipliers, 'int32', 'score scale a head'),
          array('score_shifts', scoreShifts, 'int8', 'score scale a head'),
          array('exp_tables', expTables, 'uint8', '127 * exp(-difference), (heads, 256)'),
        ],
        initializer: initializer({
          heads,
          head_width: q! / heads,
          value_width: v! / heads,
          causal: String(causal),
          score_multipliers: `${name}_score_multipliers`,
          score_shifts: `${name}_score_shifts`,
          exp_tables: `${name}_exp_tables`,
          mix: requant(mix),
          zero_point: zeroPoint,
        }),
      };
    }
    case 'normalizedAttention': {
      const { integer, attrs } = node;
      const [q, , v] = node.inputs.map((input) => tensorOf(graph, input).shape[1]);
      return {
        name: `${name}_params`,
        type: 'lm_normalized_attention',
        arrays: [
          array('score_multipliers', integer.scoreMultipliers, 'int32', 'score scale a head'),
          array('score_shifts', integer.scoreShifts, 'int8', 'score scale a head'),
          array('softmax_multipliers', integer.softmaxMultipliers, 'int32', 'softmax a head'),
          array('softmax_shifts', integer.softmaxShifts, 'int8', 'softmax a head'),
          array('smallest_differences', integer.smallestDifferences, 'int32', 'softmax a head'),
        ],
        initializer: initializer({
          heads: attrs.heads,
          head_width: q! / attrs.heads,
          value_width: v! / attrs.heads,
          score_multipliers: `${name}_score_multipliers`,
          score_shifts: `${name}_score_shifts`,
          softmax_multipliers: `${name}_softmax_multipliers`,
          softmax_shifts: `${name}_softmax_shifts`,
          smallest_differences: `${name}_smallest_differences`,
          mix: requant(integer.mix),
          zero_point: integer.zeroPoint,
        }),
      };
    }
    case 'attendInputs': {
      const { scoreMultipliers, scoreShifts, expTables, rescaleTables, mix, inputZeroPoint } =
        node.integer;
      const { heads } = node.attrs;
      return {
        name: `${name}_params`,
        type: 'lm_attend_inputs',
        arrays: [
          array('score_multipliers', scoreMultipliers, 'int32', 'score scale a head'),
          array('score_shifts', scoreShifts, 'int8', 'score scale a head'),
          array('exp_tables', expTables, 'uint8', '127 * exp(-difference), (heads, 256)'),
          array('rescale_tables', rescaleTables, 'int16', 'exp(-difference) in Q15, (heads, 256)'),
        ],
        initializer: initializer({
          heads,
          width: tensorOf(graph, node.output).shape[1] / heads,
          score_multipliers: `${name}_score_multipliers`,
          score_shifts: `${name}_score_shifts`,
          exp_tables: `${name}_exp_tables`,
          rescale_tables: `${name}_rescale_tables`,
          zero_point: inputZeroPoint,
          mix: requant(mix),
        }),
      };
    }
    case 'add': {
      const { a, b, sum, zeroPointA, zeroPointB, zeroPoint, min, max } = node.integer;
      return {
        name: `${name}_params`,
        type: 'lm_add',
        arrays: [],
        initializer: initializer({
          width: tensorOf(graph, node.output).shape[1],
          zero_point_a: zeroPointA,
          zero_point_b: zeroPointB,
          a: requant(a),
          b: requant(b),
          sum: requant(sum),
          zero_point: zeroPoint,
          min,
          max,
        }),
      };
    }
    case 'causalAttention':
    case 'windowAttention': {
      const { scoreMultipliers, expTables, mix, zeroPoint } = node.integer;
      const [q, , v] = node.inputs.map((input) => tensorOf(graph, input).shape[1]);
      const { heads, keyValueHeads } = node.attrs;
      return {
        name: `${name}_params`,
        type: 'lm_causal_attention',
        arrays: [
          array('score_multipliers', scoreMultipliers, 'int32', 'score scale a head'),
          array('exp_tables', expTables, 'uint8', '127 * exp(-difference), (heads, 256)'),
        ],
        initializer: initializer({
          heads,
          key_value_heads: keyValueHeads,
          head_width: q! / heads,
          value_width: v! / keyValueHeads,
          score_multipliers: `${name}_score_multipliers`,
          exp_tables: `${name}_exp_tables`,
          mix: requant(mix),
          zero_point: zeroPoint,
        }),
      };
    }
    case 'rotary': {
      const table = constant(1);
      return {
        name: `${name}_params`,
        type: 'lm_rotary',
        arrays: [shared(array('angles', table.data, 'int16', 'cosine and sine in Q14'))],
        initializer: initializer({
          heads: tensorOf(graph, node.output).shape[1] / table.columns,
          head_width: table.columns,
          multiplier: node.integer.multiplier,
          shift: node.integer.shift,
          table: `${name}_angles`,
        }),
      };
    }
    case 'gatedProduct': {
      const { table, zeroPointUp, multiplier, zeroPoint } = node.integer;
      return {
        name: `${name}_params`,
        type: 'lm_gated_product',
        arrays: [array('gates', table, 'int16', 'the gate by value + 128')],
        initializer: initializer({
          width: tensorOf(graph, node.output).shape[1],
          table: `${name}_gates`,
          zero_point_up: zeroPointUp,
          multiplier,
          zero_point: zeroPoint,
        }),
      };
    }
    case 'residualAdd': {
      const { multiplierA, multiplierB, shift } = node.integer;
      return {
        name: `${name}_params`,
        type: 'lm_residual_add',
        arrays: [],
        initializer: initializer({
          width: tensorOf(graph, node.output).shape[1],
          multiplier_a: multiplierA,
          multiplier_b: multiplierB,
          shift,
        }),
      };
    }
    case 'rmsNorm': {
      const { epsilon, fraction, outShift, offset, min, max } = node.integer;
      return {
        name: `${name}_params`,
        type: 'lm_rms_norm',
        arrays: [array('gamma', constant(1).data, 'int16', 'gamma')],
        initializer: initializer({
          width: constant(1).columns,
          epsilon: `INT64_C(${epsilon})`,
          fraction,
          out_shift: outShift,
          offset,
          min,
          max,
          gamma: `${name}_gamma`,
        }),
      };
    }
    case 'layerNorm':
      return {
        name: `${name}_params`,
        type: 'lm_norm',
        arrays: normArrays(constant(1).data, constant(2).data, array),
        initializer: initializer(normFields(name, constant(1).columns, node.integer)),
      };
    case 'addLayerNorm': {
      const { integer } = node;
      return {
        name: `${name}_params`,
        type: 'lm_add_layernorm',
        arrays: normArrays(constant(2).data, constant(3).data, array),
        initializer: initializer({
          norm: normInitializer(name, constant(2).columns, integer),
          ...addFields(integer),
        }),
      };
    }
    case 'lookupRows':
    case 'clusterRows':
    case 'codebookRows':
      return tableConstants(graph, node, array, name);
    case 'embedLayerNorm': {
      const segment = constant(3);
      return {
        name: `${name}_params`,
        type: 'lm_embed_layernorm',
        arrays: [
          ...positionArray(graph, node, array),
          array(
            'segment',
            segment.data,
            'int8',
            `(${segment.rows}, ${segment.columns})`,
            'embedding',
          ),
          ...normArrays(constant(4).data, constant(5).data, array),
        ],
        initializer: initializer({
          norm: normInitializer(name, segment.columns, node.integer),
          segment: `${name}_segment`,
          segments: segment.rows,
          ...embedFields(node.integer),
        }),
      };
    }
    case 'meanRows': {
      const { zeroPoint, mean, min, max } = node.integer;
      return {
        name: `${name}_params`,
        type: 'lm_mean_rows',
        arrays: [],
        initializer: initializer({
          width: tensorOf(graph, node.output).shape[1],
          zero_point: zeroPoint,
          mean: requant(mean),
          min,
          max,
        }),
      };
    }
    case 'selectRow':
    case 'concat':
      return null;
    case 'activation':
    case 'embed':
      throw internalError(`op '${node.op}' has no kernel`, node.name);
    default:
      return assertExhaustive(node);
  }
}

export type MakeArray = (
  suffix: ConstantSuffix,
  data: ConstantArray['data'],
  dtype: DType,
  comment: string,
  section?: keyof typeof sectionMacros,
) => ConstantArray;

/** The position table, where calls read their rows from it. */
function positionArray(
  graph: Graph<'legal'>,
  node: Node<'legal'>,
  array: MakeArray,
): readonly ConstantArray[] {
  const position = tensorOf(graph, node.inputs[positionOperand]!);
  if (!isConstant(position)) return [];
  const shape = `(${position.shape.join(', ')})`;
  return [{ ...array('position', position.data, 'int8', shape, 'embedding'), isStatic: false }];
}

const positionOperand = 1;

function normArrays(
  gamma: ConstantArray['data'],
  beta: ConstantArray['data'],
  array: MakeArray,
): ConstantArray[] {
  return [
    array('gamma', gamma, 'int16', 'gamma'),
    array('beta', beta, 'int32', 'beta, output zero point and rounding half'),
  ];
}

function normInitializer(name: string, width: number, norm: NormInteger): string {
  return initializer(normFields(name, width, norm), '  ');
}

function normFields(
  name: string,
  width: number,
  norm: NormInteger,
): Record<string, number | string> {
  return {
    width,
    epsilon: `INT64_C(${norm.epsilon})`,
    fraction: norm.fraction,
    out_shift: norm.outShift,
    min: norm.min,
    max: norm.max,
    gamma: `${name}_gamma`,
    beta: `${name}_beta`,
  };
}

function addFields(integer: AddNormInteger): Record<string, number> {
  return {
    multiplier_a: integer.multiplierA,
    multiplier_b: integer.multiplierB,
    zero_point_a: integer.zeroPointA,
    zero_point_b: integer.zeroPointB,
  };
}

function embedFields(integer: EmbedNormInteger): Record<string, number> {
  return {
    multiplier_word: integer.multiplierWord,
    multiplier_position: integer.multiplierPosition,
    multiplier_segment: integer.multiplierSegment,
  };
}

function requant({
  multiplier,
  shift,
}: {
  readonly multiplier: number;
  readonly shift: number;
}): string {
  return `{.multiplier = ${multiplier}, .shift = ${shift}}`;
}
