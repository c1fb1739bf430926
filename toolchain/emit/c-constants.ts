/** The parameters of every node as C: a struct of `kernels.h` a node, and the arrays it points to. */
import { assertExhaustive } from '../errors.ts';
import { type DType, dtypes } from '../ir/dtypes.ts';
import { type Graph, isConstant, type Node, tensorOf } from '../ir/graph.ts';
import { constantOf } from '../ops/table-rows.ts';
import type { ConstantSuffix } from './c-names.ts';
import { tableConstants } from './c-tables.ts';
import type { ConstantArray } from './c-text.ts';
import { identifier, initializer } from './c-text.ts';
import { linearBounds } from './linear-bounds.ts';
import { nodeParams, type Param, type ParamArray } from './node-params.ts';

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
  const array: MakeArray = (suffix, data, dtype, comment, section = 'encoder') => ({
    name: `${name}_${suffix}`,
    ctype: dtypes[dtype].c,
    data,
    comment: `${node.name}: ${comment}`,
    isStatic: true,
    section: sectionMacros[section],
  });
  switch (node.op) {
    case 'linear':
      return linearConstants(graph, node, packWeights, array, name);
    case 'weightRows':
      return weightRowsConstants(graph, node, packWeights, array, name);
    case 'lookupRows':
    case 'clusterRows':
    case 'codebookRows':
      return tableConstants(graph, node, array, name);
    default: {
      const listed = nodeParams(graph, node);
      if (listed === null) return null;
      const arrays = arraysOf(listed.params).map((one) => {
        const { suffix, data, dtype, comment, section } = one;
        const made = array(suffix, data, dtype, comment, section);
        return one.isShared ? shared(made) : made;
      });
      return {
        name: `${name}_params`,
        type: listed.struct,
        arrays: [...positionArray(graph, node, array), ...arrays],
        initializer: initializer(fieldsOf(listed.params, name)),
      };
    }
  }
}

export type MakeArray = (
  suffix: ConstantSuffix,
  data: ConstantArray['data'],
  dtype: DType,
  comment: string,
  section?: keyof typeof sectionMacros,
) => ConstantArray;

/** Aligned, and stored once for all that have the same. */
function shared(one: ConstantArray): ConstantArray {
  return { ...one, alignment: 'LM2MCU_ALIGNED_WORDS' };
}

function arraysOf(params: readonly Param[]): readonly ParamArray[] {
  return params.flatMap((param): readonly ParamArray[] => {
    switch (param.kind) {
      case 'array':
        return [param];
      case 'turns':
        return param.arrays;
      case 'struct':
        return arraysOf(param.params);
      default:
        return [];
    }
  });
}

function fieldsOf(params: readonly Param[], name: string): Record<string, number | string> {
  const entries = params.flatMap((param): readonly (readonly [string, number | string])[] => {
    switch (param.kind) {
      case 'number':
        return [[param.field, param.value]];
      case 'int64':
        return [[param.field, `INT64_C(${param.value})`]];
      case 'flag':
        return [[param.field, String(param.value)]];
      case 'requant': {
        const { multiplier, shift } = param.value;
        return [[param.field, `{.multiplier = ${multiplier}, .shift = ${shift}}`]];
      }
      case 'array':
        return [[param.field, `${name}_${param.suffix}`]];
      case 'turns':
        return param.arrays.map(({ field, suffix }) => [field, `${name}_${suffix}`]);
      case 'struct':
        return [[param.field, initializer(fieldsOf(param.params, name), '  ')]];
      default:
        return assertExhaustive(param);
    }
  });
  return Object.fromEntries(entries);
}

function linearConstants(
  graph: Graph<'legal'>,
  node: Node<'legal'> & { readonly op: 'linear' },
  packWeights: PackWeights,
  array: MakeArray,
  name: string,
): NodeConstants {
  const [, weight, bias] = node.inputs.map((input) => tensorOf(graph, input));
  const { data, shape } = constantOf(weight!);
  const [outputs, inputs] = shape as readonly [number, number];
  const { multipliers, shifts, zeroPoint, min, max, table } = node.integer;
  const packed = packWeights(node, data as Int8Array, outputs, inputs);
  const biases = constantOf(bias!).data;
  const bounds = linearBounds(node.integer, data, biases, inputs);
  return {
    name: `${name}_params`,
    type: 'lm_linear',
    arrays: [
      shared(array('weights', packed, 'int8', `weights (${shape.join(', ')})`)),
      array('bias', biases, 'int32', 'bias with the input zero point'),
      array('multipliers', multipliers, 'int32', 'requantization'),
      array('shifts', shifts, 'int8', 'requantization'),
      ...(table === null ? [] : [array('table', table, 'int8', 'activation by value + 128')]),
    ],
    initializer: initializer({
      inputs,
      outputs,
      weights: `${name}_weights`,
      bias: `${name}_bias`,
      multipliers: `${name}_multipliers`,
      shifts: `${name}_shifts`,
      zero_point: zeroPoint,
      min,
      max,
      table: table === null ? 'NULL' : `${name}_table`,
      most_sum: bounds.mostSum,
      least_shift: bounds.leastShift,
      most_shift: bounds.mostShift,
    }),
  };
}

/** The weights are the linear's own, to be stored once. */
function weightRowsConstants(
  graph: Graph<'legal'>,
  node: Node<'legal'> & { readonly op: 'weightRows' },
  packWeights: PackWeights,
  array: MakeArray,
  name: string,
): NodeConstants {
  const { data, shape } = constantOf(tensorOf(graph, node.inputs[1]!));
  const [rows, width] = shape as readonly [number, number];
  const { multipliers, shift } = node.integer;
  const packed = packWeights(node, data as Int8Array, rows, width);
  return {
    name: `${name}_params`,
    type: 'lm_weight_rows',
    arrays: [
      shared(array('weights', packed, 'int8', `weights (${shape.join(', ')})`)),
      array('multipliers', multipliers, 'uint16', 'a row', 'embedding'),
    ],
    initializer: initializer({
      ...{ width, rows, weights: `${name}_weights` },
      ...{ multipliers: `${name}_multipliers`, shift },
    }),
  };
}

/** The position table, where calls read their rows from it. */
function positionArray(
  graph: Graph<'legal'>,
  { op, inputs }: Node<'legal'>,
  array: MakeArray,
): readonly ConstantArray[] {
  if (op !== 'embed' && op !== 'embedLayerNorm') return [];
  const position = tensorOf(graph, inputs[positionOperand]!);
  if (!isConstant(position)) return [];
  const shape = `(${position.shape.join(', ')})`;
  return [{ ...array('position', position.data, 'int8', shape, 'embedding'), isStatic: false }];
}

const positionOperand = 1;
