/**
 * Every command of the stream, once: its code, and what the bits of its param mean. The stream
 * writer, the disassembler, the simulator and the lint read this table.
 *
 * Codes and bit fields are those of Arm's public register header (`ethosu55_interface.h` and
 * `ethosu65_interface.h` of the core driver). A command word has the code in bits 9:0, the kind in
 * 15:14 and the param in 31:16; a register with a payload is followed by that word.
 */
import { internalError } from '../errors.ts';

export interface Field {
  readonly name: string;
  readonly bit: number;
  readonly width: number;
  /** Two's complement. */
  readonly signed?: true;
  /** The register holds the value less one. */
  readonly lessOne?: true;
  /** What each value is called. */
  readonly names?: Readonly<Record<number, string>>;
}

/** `length` is a count of bytes, `address` a byte offset into a region, `number` anything else. */
export type PayloadKind = 'address' | 'length' | 'number';

export interface CommandRow {
  /** `operation` runs; the others set a register, in their param or in a payload word. */
  readonly kind: 'operation' | 'param' | 'payload';
  readonly code: number;
  /** Of the param. */
  readonly fields: readonly Field[];
  readonly payload?: PayloadKind;
  /** Of the U65 only. */
  readonly onlyU65?: true;
}

const bits = (name: string, bit: number, width: number): Field => ({ name, bit, width });
const choice = (
  name: string,
  bit: number,
  width: number,
  names: Readonly<Record<number, string>>,
): Field => ({ name, bit, width, names });

const operation = (code: number, ...fields: Field[]) =>
  ({ kind: 'operation', code, fields }) as const;
const param = (code: number, ...fields: Field[]) => ({ kind: 'param', code, fields }) as const;
const number16 = (code: number) => param(code, bits('value', 0, 16));
const signed16 = (code: number) =>
  param(code, { name: 'value', bit: 0, width: 16, signed: true } as const);
/** A size, kept less one. */
const size = (code: number, width = 16) =>
  param(code, { name: 'size', bit: 0, width, lessOne: true } as const);
/** On the U65 the param has bits 39:32 of an address or stride. */
const address = (code: number) =>
  ({ kind: 'payload', code, fields: [bits('high', 0, 8)], payload: 'address' }) as const;
const length = (code: number) =>
  ({ kind: 'payload', code, fields: [], payload: 'length' }) as const;
const longLength = (code: number) =>
  ({ kind: 'payload', code, fields: [bits('high', 0, 8)], payload: 'length' }) as const;
const scale = (code: number, ...fields: Field[]) =>
  ({ kind: 'payload', code, fields, payload: 'number' }) as const;

const region = bits('region', 0, 3);
const dmaRegion = (code: number) =>
  param(
    code,
    region,
    choice('memory', 8, 1, { 0: 'external', 1: 'internal' }),
    bits('strideMode', 9, 2),
  );
const type = choice('type', 0, 1, { 0: 'unsigned', 1: 'signed' });
const elementNames = { 0: '8', 1: '16', 2: '32' };
const format = choice('format', 6, 2, { 0: 'nhwc', 1: 'nhcwb16' });
const rounding = choice('rounding', 14, 2, { 0: 'tfl', 1: 'truncate', 2: 'natural' });

export const commandTable = {
  NPU_OP_STOP: operation(0x000, bits('mask', 0, 16)),
  NPU_OP_IRQ: operation(0x001, bits('mask', 0, 16)),
  NPU_OP_CONV: operation(0x002),
  NPU_OP_DEPTHWISE: operation(0x003),
  NPU_OP_POOL: operation(0x005, choice('mode', 0, 3, { 0: 'max', 1: 'average', 2: 'reduce-sum' })),
  NPU_OP_ELEMENTWISE: operation(
    0x006,
    choice('mode', 0, 6, {
      0: 'mul',
      1: 'add',
      2: 'sub',
      3: 'min',
      4: 'max',
      5: 'lrelu',
      6: 'abs',
      7: 'clz',
      8: 'shr',
      9: 'shl',
    }),
  ),
  NPU_OP_DMA_START: operation(0x010),
  NPU_OP_DMA_WAIT: operation(0x011, bits('outstanding', 0, 4)),
  NPU_OP_KERNEL_WAIT: operation(0x012, bits('outstanding', 0, 2)),
  NPU_OP_PMU_MASK: operation(0x013, bits('enable', 0, 1)),

  IFM_PAD_TOP: param(0x100, bits('pad', 0, 7)),
  IFM_PAD_LEFT: param(0x101, bits('pad', 0, 7)),
  IFM_PAD_RIGHT: param(0x102, bits('pad', 0, 8)),
  IFM_PAD_BOTTOM: param(0x103, bits('pad', 0, 8)),
  IFM_DEPTH_M1: size(0x104),
  IFM_PRECISION: param(
    0x105,
    type,
    choice('bits', 2, 2, elementNames),
    format,
    choice('scaling', 8, 2, { 0: 'both-16', 1: 'a-32', 2: 'b-32' }),
    rounding,
  ),
  IFM_UPSCALE: param(0x107, choice('mode', 0, 2, { 0: 'none', 1: 'nearest', 2: 'zeros' })),
  IFM_ZERO_POINT: signed16(0x109),
  IFM_WIDTH0_M1: size(0x10a),
  IFM_HEIGHT0_M1: size(0x10b),
  IFM_HEIGHT1_M1: size(0x10c),
  IFM_IB_END: param(0x10d, bits('bank', 0, 6)),
  IFM_REGION: param(0x10f, region),
  OFM_WIDTH_M1: size(0x111),
  OFM_HEIGHT_M1: size(0x112),
  OFM_DEPTH_M1: size(0x113),
  OFM_PRECISION: param(
    0x114,
    type,
    choice('bits', 1, 2, elementNames),
    format,
    choice('scaling', 8, 1, { 0: 'per-channel', 1: 'global' }),
    rounding,
  ),
  OFM_BLK_WIDTH_M1: size(0x115, 6),
  OFM_BLK_HEIGHT_M1: size(0x116, 5),
  OFM_BLK_DEPTH_M1: size(0x117, 7),
  OFM_ZERO_POINT: signed16(0x118),
  OFM_WIDTH0_M1: size(0x11a),
  OFM_HEIGHT0_M1: size(0x11b),
  OFM_HEIGHT1_M1: size(0x11c),
  OFM_REGION: param(0x11f, region),
  /** Kernel sizes are those of the dilated kernel. */
  KERNEL_WIDTH_M1: size(0x120),
  KERNEL_HEIGHT_M1: size(0x121),
  KERNEL_STRIDE: param(
    0x122,
    bits('strideXLow', 0, 1),
    bits('strideYLow', 1, 1),
    choice('order', 2, 1, { 0: 'depth-first', 1: 'part-kernel-first' }),
    { name: 'dilationX', bit: 3, width: 1, lessOne: true },
    { name: 'dilationY', bit: 4, width: 1, lessOne: true },
    choice('decomposition', 5, 1, { 0: '8x8', 1: '4x4' }),
    bits('strideXHigh', 6, 1),
    bits('strideYHigh', 9, 1),
  ),
  PARALLEL_MODE: { ...param(0x123, bits('mode', 0, 1)), onlyU65: true },
  ACC_FORMAT: param(0x124, choice('format', 0, 2, { 0: 'int32', 1: 'int40' })),
  ACTIVATION: param(
    0x125,
    choice('function', 0, 5, {
      0: 'clip',
      3: 'tanh',
      4: 'sigmoid',
      16: 'table0',
      17: 'table1',
      18: 'table2',
      19: 'table3',
      20: 'table4',
      21: 'table5',
      22: 'table6',
      23: 'table7',
    }),
    choice('clip', 12, 3, { 0: 'ofm', 2: 'uint8', 3: 'int8', 5: 'int16' }),
  ),
  ACTIVATION_MIN: signed16(0x126),
  ACTIVATION_MAX: signed16(0x127),
  WEIGHT_REGION: param(0x128, region),
  SCALE_REGION: param(0x129, region),
  AB_START: param(0x12d, bits('bank', 0, 6)),
  BLOCKDEP: param(0x12f, bits('blocks', 0, 2)),
  DMA0_SRC_REGION: dmaRegion(0x130),
  DMA0_DST_REGION: dmaRegion(0x131),
  DMA0_SIZE0: number16(0x132),
  DMA0_SIZE1: number16(0x133),
  IFM2_BROADCAST: param(
    0x180,
    bits('height', 0, 1),
    bits('width', 1, 1),
    bits('depth', 2, 1),
    choice('order', 6, 1, { 0: 'ifm-first', 1: 'ifm2-first' }),
    bits('scalar', 7, 1),
  ),
  IFM2_SCALAR: signed16(0x181),
  IFM2_PRECISION: param(0x185, type, choice('bits', 2, 2, elementNames), format),
  IFM2_ZERO_POINT: signed16(0x189),
  IFM2_WIDTH0_M1: size(0x18a),
  IFM2_HEIGHT0_M1: size(0x18b),
  IFM2_HEIGHT1_M1: size(0x18c),
  IFM2_IB_START: param(0x18d, bits('bank', 0, 6)),
  IFM2_REGION: param(0x18f, region),

  IFM_BASE0: address(0x000),
  IFM_BASE1: address(0x001),
  IFM_BASE2: address(0x002),
  IFM_BASE3: address(0x003),
  IFM_STRIDE_X: address(0x004),
  IFM_STRIDE_Y: address(0x005),
  IFM_STRIDE_C: address(0x006),
  OFM_BASE0: address(0x010),
  OFM_BASE1: address(0x011),
  OFM_BASE2: address(0x012),
  OFM_BASE3: address(0x013),
  OFM_STRIDE_X: address(0x014),
  OFM_STRIDE_Y: address(0x015),
  OFM_STRIDE_C: address(0x016),
  WEIGHT_BASE: address(0x020),
  WEIGHT_LENGTH: length(0x021),
  SCALE_BASE: address(0x022),
  SCALE_LENGTH: length(0x023),
  OFM_SCALE: scale(0x024, bits('shift', 0, 6)),
  OPA_SCALE: scale(0x025, bits('shift', 0, 6)),
  OPB_SCALE: scale(0x026),
  DMA0_SRC: address(0x030),
  DMA0_DST: address(0x031),
  DMA0_LEN: longLength(0x032),
  IFM2_BASE0: address(0x080),
  IFM2_BASE1: address(0x081),
  IFM2_BASE2: address(0x082),
  IFM2_BASE3: address(0x083),
  IFM2_STRIDE_X: address(0x084),
  IFM2_STRIDE_Y: address(0x085),
  IFM2_STRIDE_C: address(0x086),
  /** Of the second core. */
  WEIGHT1_BASE: { ...address(0x090), onlyU65: true },
  WEIGHT1_LENGTH: { ...length(0x091), onlyU65: true },
  SCALE1_BASE: { ...address(0x092), onlyU65: true },
  SCALE1_LENGTH: { ...length(0x093), onlyU65: true },
} as const satisfies Record<string, CommandRow>;

export type CommandName = keyof typeof commandTable;
export type OperationName = Extract<CommandName, `NPU_OP_${string}`>;
export type RegisterName = Exclude<CommandName, OperationName>;

/** A command as the stream has it: 16 bits of param, and the payload word of those that have one. */
export interface Command {
  readonly name: CommandName;
  readonly param: number;
  readonly payload: number | null;
}

export function rowOf(name: CommandName): CommandRow {
  return commandTable[name];
}

export function fieldValue({ bit, width, signed, lessOne }: Field, param: number): number {
  const raw = (param >>> bit) & ((1 << width) - 1);
  const value = signed === true && raw >= 1 << (width - 1) ? raw - (1 << width) : raw;
  return lessOne === true ? value + 1 : value;
}

/** A field of a param by its name. */
export function readField(name: CommandName, field: string, param: number): number {
  const found = rowOf(name).fields.find((candidate) => candidate.name === field);
  if (found === undefined) throw internalError(`${name} has no field ${field}`);
  return fieldValue(found, param);
}

/** The param whose fields have these values, or are called so; the others are 0. */
export function paramOf(
  name: CommandName,
  values: Readonly<Record<string, number | string>>,
): number {
  let param = 0;
  for (const [field, value] of Object.entries(values)) {
    const found = rowOf(name).fields.find((candidate) => candidate.name === field);
    if (found === undefined) throw internalError(`${name} has no field ${field}`);
    const { bit, width, lessOne, names = {} } = found;
    const number =
      typeof value === 'number'
        ? value - (lessOne === true ? 1 : 0)
        : Number(Object.keys(names).find((key) => names[Number(key)] === value));
    if (!Number.isInteger(number) || number >= 2 ** width || number < -(2 ** (width - 1))) {
      throw internalError(`${name} cannot have ${field} ${value}`);
    }
    param |= (number & (2 ** width - 1)) << bit;
  }
  return param >>> 0;
}
