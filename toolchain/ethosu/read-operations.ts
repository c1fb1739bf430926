/**
 * A command stream as the ops that it runs: registers keep their values, and each op is read from
 * them once.
 */
import { internalError } from '../errors.ts';
import type { Shape3 } from './accelerators.ts';
import {
  type Activation,
  type Block,
  type Convolution,
  type Dma,
  type DmaEnd,
  type Elementwise,
  elementwiseModes,
  type FeatureMap,
  type Kernel,
  type KernelOperation,
  type Operation,
  type Padding,
  type Pool,
  type Rounding,
  type StreamRange,
  unaryModes,
} from './operations.ts';
import {
  type Command,
  type CommandName,
  type RegisterName,
  readField,
  rowOf,
} from './registers.ts';
import { type PlacedCommand, streamError } from './stream.ts';

export function readOperations(commands: readonly PlacedCommand[]): readonly Operation[] {
  const held = new Map<CommandName, Command>();
  const operations: Operation[] = [];
  for (const command of commands) {
    if (rowOf(command.name).kind === 'operation') operations.push(readOperation(command, held));
    else held.set(command.name, command);
  }
  return operations;
}

/** Reads registers, and remembers those that were never set; they count as 0. */
interface Registers {
  field(name: RegisterName, field: string): number;
  /** What a field's value is called. */
  named(name: RegisterName, field: string): string;
  /** The payload, with the upper address bits. */
  long(name: RegisterName): number;
  readonly missing: RegisterName[];
  readonly word: number;
}

function registersAt(word: number, held: ReadonlyMap<CommandName, Command>): Registers {
  const missing: RegisterName[] = [];
  const get = (name: RegisterName): Command => {
    const command = held.get(name);
    if (command === undefined && !missing.includes(name)) missing.push(name);
    return command ?? { name, param: 0, payload: 0 };
  };
  return {
    missing,
    word,
    field: (name, field) => readField(name, field, get(name).param),
    named(name, field) {
      const value = readField(name, field, get(name).param);
      const names = rowOf(name).fields.find((candidate) => candidate.name === field)?.names;
      const found = names?.[value];
      if (found !== undefined) return found;
      throw streamError(word, `${name} has ${field} ${value}, which means nothing`);
    },
    long(name) {
      const { param, payload } = get(name);
      const high = rowOf(name).payload !== 'number';
      return (payload ?? 0) + (high ? (param & 0xff) * 2 ** 32 : 0);
    },
  };
}

function readOperation(
  { name, param, word }: PlacedCommand,
  held: ReadonlyMap<CommandName, Command>,
): Operation {
  const registers = registersAt(word, held);
  switch (name) {
    case 'NPU_OP_CONV':
      return readConvolution('conv', registers);
    case 'NPU_OP_DEPTHWISE':
      return readConvolution('depthwise', registers);
    case 'NPU_OP_POOL':
      return readPool(param, registers);
    case 'NPU_OP_ELEMENTWISE':
      return readElementwise(param, registers);
    case 'NPU_OP_DMA_START':
      return readDma(registers);
    case 'NPU_OP_DMA_WAIT':
      return { kind: 'dma-wait', word, outstanding: readField(name, 'outstanding', param) };
    case 'NPU_OP_KERNEL_WAIT':
      return { kind: 'kernel-wait', word, outstanding: readField(name, 'outstanding', param) };
    case 'NPU_OP_STOP':
      return { kind: 'stop', word, param };
    case 'NPU_OP_IRQ':
      return { kind: 'irq', word, param };
    case 'NPU_OP_PMU_MASK':
      return { kind: 'pmu-mask', word, param };
    default:
      throw internalError(`${name} is no operation`, 'operations');
  }
}

function readConvolution(kind: 'conv' | 'depthwise', registers: Registers): Convolution {
  const shared = readKernelOperation(registers);
  return {
    kind,
    ...shared,
    weights: readRange(registers, 'WEIGHT'),
    // With a global scale the records still hold the biases.
    scales: readRange(registers, 'SCALE'),
  };
}

function readPool(param: number, registers: Registers): Pool {
  const value = readField('NPU_OP_POOL', 'mode', param);
  const mode = (['max', 'average', 'reduce-sum'] as const)[value];
  if (mode === undefined) throw streamError(registers.word, `pooling mode ${value} means nothing`);
  return { kind: 'pool', mode, ...readKernelOperation(registers) };
}

function readKernelOperation(registers: Registers): KernelOperation {
  const { field } = registers;
  const kernel: Kernel = {
    height: field('KERNEL_HEIGHT_M1', 'size'),
    width: field('KERNEL_WIDTH_M1', 'size'),
    strideY: 1 + field('KERNEL_STRIDE', 'strideYLow') + 2 * field('KERNEL_STRIDE', 'strideYHigh'),
    strideX: 1 + field('KERNEL_STRIDE', 'strideXLow') + 2 * field('KERNEL_STRIDE', 'strideXHigh'),
    dilationY: field('KERNEL_STRIDE', 'dilationY'),
    dilationX: field('KERNEL_STRIDE', 'dilationX'),
    isPartKernelFirst: field('KERNEL_STRIDE', 'order') === 1,
    isDecomposed4x4: field('KERNEL_STRIDE', 'decomposition') === 1,
  };
  const padding: Padding = {
    top: field('IFM_PAD_TOP', 'pad'),
    left: field('IFM_PAD_LEFT', 'pad'),
    bottom: field('IFM_PAD_BOTTOM', 'pad'),
    right: field('IFM_PAD_RIGHT', 'pad'),
  };
  const upscale = (['none', 'nearest', 'zeros'] as const)[field('IFM_UPSCALE', 'mode')];
  if (upscale === undefined) throw streamError(registers.word, 'IFM_UPSCALE 3 means nothing');
  const ofm = readOutput(registers);
  const factor = upscale === 'none' ? 1 : 2;
  const inputSide = (outputs: number, stride: number, taps: number, pads: number) =>
    Math.max(0, Math.ceil(((outputs - 1) * stride + taps - pads) / factor));
  const shape: Shape3 = {
    height: inputSide(ofm.height, kernel.strideY, kernel.height, padding.top + padding.bottom),
    width: inputSide(ofm.width, kernel.strideX, kernel.width, padding.left + padding.right),
    depth: field('IFM_DEPTH_M1', 'size'),
  };
  return { ...readBlock(registers, shape, ofm), kernel, padding, upscale };
}

function readElementwise(param: number, registers: Registers): Elementwise {
  const { field, long } = registers;
  const value = readField('NPU_OP_ELEMENTWISE', 'mode', param);
  const mode = elementwiseModes[value];
  if (mode === undefined)
    throw streamError(registers.word, `elementwise mode ${value} means nothing`);
  const ofm = readOutput(registers);
  const shared = readBlock(registers, ofm, ofm);
  const second = unaryModes.includes(mode) ? null : readSecond(registers, ofm);
  const scalesOperands = mode === 'add' || mode === 'sub';
  return {
    kind: 'elementwise',
    mode,
    ...shared,
    second,
    isReversed: second !== null && field('IFM2_BROADCAST', 'order') === 1,
    operandScaling: (['both-16', 'a-32', 'b-32', 'both-16'] as const)[
      scalesOperands ? field('IFM_PRECISION', 'scaling') : 0
    ]!,
    operandRounding: roundingOf(registers, 'IFM_PRECISION'),
    operandA: scalesOperands
      ? { scale: long('OPA_SCALE'), shift: field('OPA_SCALE', 'shift') }
      : { scale: 1, shift: 0 },
    operandB: scalesOperands ? long('OPB_SCALE') & 0xffff : 1,
  };
}

function readSecond(registers: Registers, ofm: Shape3): NonNullable<Elementwise['second']> {
  const { field } = registers;
  if (field('IFM2_BROADCAST', 'scalar') === 1) {
    const isSigned = field('IFM2_PRECISION', 'type') === 1;
    const value = field('IFM2_SCALAR', 'value');
    return {
      kind: 'scalar',
      value: isSigned ? value : value & 0xffff,
      zeroPoint: field('IFM2_ZERO_POINT', 'value'),
    };
  }
  const side = (axis: 'height' | 'width' | 'depth') =>
    field('IFM2_BROADCAST', axis) === 1 ? 1 : ofm[axis];
  const shape = { height: side('height'), width: side('width'), depth: side('depth') };
  return {
    kind: 'tensor',
    ifm2: readFeatureMap(registers, 'IFM2', shape),
    shramStart: field('IFM2_IB_START', 'bank'),
  };
}

function readBlock(registers: Registers, ifmShape: Shape3, ofm: FeatureMap) {
  const { field, named, long } = registers;
  const isGlobal = field('OFM_PRECISION', 'scaling') === 1;
  return {
    word: registers.word,
    ifm: readFeatureMap(registers, 'IFM', ifmShape),
    ofm,
    ofmScale: isGlobal ? { scale: long('OFM_SCALE'), shift: field('OFM_SCALE', 'shift') } : null,
    rounding: roundingOf(registers, 'OFM_PRECISION'),
    activation: {
      ...activationKind(registers),
      clip: named('ACTIVATION', 'clip') as Activation['clip'],
      min: clipBound(registers, 'ACTIVATION_MIN', ofm),
      max: clipBound(registers, 'ACTIVATION_MAX', ofm),
    },
    block: {
      height: field('OFM_BLK_HEIGHT_M1', 'size'),
      width: field('OFM_BLK_WIDTH_M1', 'size'),
      depth: field('OFM_BLK_DEPTH_M1', 'size'),
    },
    shram: {
      inputEnd: field('IFM_IB_END', 'bank'),
      accumulatorStart: field('AB_START', 'bank'),
    },
    accumulator: named('ACC_FORMAT', 'format') as Block['accumulator'],
    blockdep: field('BLOCKDEP', 'blocks'),
    missing: registers.missing,
  };
}

function activationKind({ field, word }: Registers): Pick<Activation, 'kind' | 'table'> {
  const value = field('ACTIVATION', 'function');
  if (value >= 16 && value < 24) return { kind: 'table', table: value - 16 };
  const kind = ({ 0: 'clip', 3: 'tanh', 4: 'sigmoid' } as const)[value];
  if (kind === undefined) throw streamError(word, `activation function ${value} means nothing`);
  return { kind, table: 0 };
}

/** The bounds are 16 bits, signed as the output is. */
function clipBound(
  { field }: Registers,
  name: 'ACTIVATION_MIN' | 'ACTIVATION_MAX',
  { type }: FeatureMap,
): number {
  const value = field(name, 'value');
  return type.isSigned ? value : value & 0xffff;
}

function roundingOf({ named }: Registers, name: 'IFM_PRECISION' | 'OFM_PRECISION'): Rounding {
  return named(name, 'rounding') as Rounding;
}

function readOutput(registers: Registers): FeatureMap {
  const { field } = registers;
  return readFeatureMap(registers, 'OFM', {
    height: field('OFM_HEIGHT_M1', 'size'),
    width: field('OFM_WIDTH_M1', 'size'),
    depth: field('OFM_DEPTH_M1', 'size'),
  });
}

function readFeatureMap(
  registers: Registers,
  register: FeatureMap['register'],
  shape: Shape3,
): FeatureMap {
  const { field, named, long } = registers;
  return {
    register,
    height: shape.height,
    width: shape.width,
    depth: shape.depth,
    region: field(`${register}_REGION`, 'region'),
    bases: [
      long(`${register}_BASE0`),
      long(`${register}_BASE1`),
      long(`${register}_BASE2`),
      long(`${register}_BASE3`),
    ],
    width0: field(`${register}_WIDTH0_M1`, 'size'),
    height0: field(`${register}_HEIGHT0_M1`, 'size'),
    height1: field(`${register}_HEIGHT1_M1`, 'size'),
    strideY: long(`${register}_STRIDE_Y`),
    strideX: long(`${register}_STRIDE_X`),
    strideC: long(`${register}_STRIDE_C`),
    format: named(`${register}_PRECISION`, 'format') as FeatureMap['format'],
    type: {
      bytes: (Number(named(`${register}_PRECISION`, 'bits')) / 8) as 1 | 2 | 4,
      isSigned: field(`${register}_PRECISION`, 'type') === 1,
    },
    zeroPoint: field(`${register}_ZERO_POINT`, 'value'),
  };
}

function readRange({ field, long }: Registers, name: 'WEIGHT' | 'SCALE'): StreamRange {
  return {
    region: field(`${name}_REGION`, 'region'),
    base: long(`${name}_BASE`),
    length: long(`${name}_LENGTH`),
  };
}

function readDma(registers: Registers): Dma {
  const { field, long, missing, word } = registers;
  const end = (name: 'SRC' | 'DST'): DmaEnd => ({
    region:
      field(`DMA0_${name}_REGION`, 'memory') === 1 ? null : field(`DMA0_${name}_REGION`, 'region'),
    address: long(`DMA0_${name}`),
  });
  for (const name of ['DMA0_SRC_REGION', 'DMA0_DST_REGION'] as const) {
    if (field(name, 'strideMode') !== 0) {
      throw streamError(word, 'a DMA of two or three dimensions, which is not modelled');
    }
  }
  return {
    kind: 'dma',
    word,
    source: end('SRC'),
    destination: end('DST'),
    length: long('DMA0_LEN'),
    missing,
  };
}
