/**
 * Ops as a command stream: what `readOperations` reads, written. The kinds are those that the compiler
 * emits.
 */
import { assertExhaustive } from '../errors.ts';
import type { Convolution, Dma, DmaEnd, FeatureMap, Wait } from './operations.ts';
import { paramOf, type RegisterName } from './registers.ts';
import { type StreamWriter, startStream } from './stream.ts';

/** Where an op stands in the stream is the writer's matter, and it sets all registers. */
type Written<T> = Omit<T, 'word' | 'missing'>;
export type WrittenConvolution = Written<Convolution>;
export type WrittenOperation = WrittenConvolution | Written<Dma> | Written<Wait>;

export function writeOperations(operations: readonly WrittenOperation[]): Uint32Array {
  const stream = startStream();
  for (const operation of operations) writeOperation(stream, operation);
  return stream.finish();
}

function writeOperation(stream: StreamWriter, operation: WrittenOperation): void {
  switch (operation.kind) {
    case 'conv':
    case 'depthwise':
      setConvolution(stream, operation);
      stream.run(operation.kind === 'conv' ? 'NPU_OP_CONV' : 'NPU_OP_DEPTHWISE');
      return;
    case 'dma':
      setFields(stream, 'DMA0_SRC_REGION', endFields(operation.source));
      setFields(stream, 'DMA0_DST_REGION', endFields(operation.destination));
      stream.set('DMA0_SRC', operation.source.address);
      stream.set('DMA0_DST', operation.destination.address);
      stream.set('DMA0_LEN', operation.length);
      stream.run('NPU_OP_DMA_START');
      return;
    case 'dma-wait':
      stream.run('NPU_OP_DMA_WAIT', operation.outstanding);
      return;
    case 'kernel-wait':
      stream.run('NPU_OP_KERNEL_WAIT', operation.outstanding);
      return;
    default:
      assertExhaustive(operation);
  }
}

function setConvolution(stream: StreamWriter, operation: WrittenConvolution): void {
  const { ifm, ofm, kernel, padding, weights, scales, activation, block, shram } = operation;
  setFeatureMap(stream, ifm);
  setFeatureMap(stream, ofm);
  const set = (name: RegisterName, fields: Readonly<Record<string, number | string>>) =>
    setFields(stream, name, fields);
  set('OFM_WIDTH_M1', { size: ofm.width });
  set('OFM_HEIGHT_M1', { size: ofm.height });
  set('IFM_PRECISION', { ...typeFields(ifm), scaling: 'both-16' });
  set('OFM_PRECISION', {
    ...typeFields(ofm),
    scaling: operation.ofmScale === null ? 'per-channel' : 'global',
    rounding: operation.rounding,
  });
  if (operation.ofmScale !== null) {
    stream.set('OFM_SCALE', operation.ofmScale.scale, operation.ofmScale.shift);
  }
  set('IFM_UPSCALE', { mode: operation.upscale });
  set('IFM_PAD_TOP', { pad: padding.top });
  set('IFM_PAD_LEFT', { pad: padding.left });
  set('IFM_PAD_BOTTOM', { pad: padding.bottom });
  set('IFM_PAD_RIGHT', { pad: padding.right });
  set('KERNEL_HEIGHT_M1', { size: kernel.height });
  set('KERNEL_WIDTH_M1', { size: kernel.width });
  set('KERNEL_STRIDE', {
    strideXLow: (kernel.strideX - 1) & 1,
    strideXHigh: (kernel.strideX - 1) >> 1,
    strideYLow: (kernel.strideY - 1) & 1,
    strideYHigh: (kernel.strideY - 1) >> 1,
    dilationX: kernel.dilationX,
    dilationY: kernel.dilationY,
    order: kernel.isPartKernelFirst ? 'part-kernel-first' : 'depth-first',
    decomposition: kernel.isDecomposed4x4 ? '4x4' : '8x8',
  });
  for (const [name, range] of [['WEIGHT', weights] as const, ['SCALE', scales] as const]) {
    set(`${name}_REGION`, { region: range.region });
    stream.set(`${name}_BASE`, range.base);
    stream.set(`${name}_LENGTH`, range.length);
  }
  set('ACTIVATION', {
    function: activation.kind === 'table' ? `table${activation.table}` : activation.kind,
    clip: activation.clip,
  });
  stream.set('ACTIVATION_MIN', activation.min);
  stream.set('ACTIVATION_MAX', activation.max);
  set('OFM_BLK_HEIGHT_M1', { size: block.height });
  set('OFM_BLK_WIDTH_M1', { size: block.width });
  set('OFM_BLK_DEPTH_M1', { size: block.depth });
  set('IFM_IB_END', { bank: shram.inputEnd });
  set('AB_START', { bank: shram.accumulatorStart });
  set('ACC_FORMAT', { format: operation.accumulator });
  set('BLOCKDEP', { blocks: operation.blockdep });
}

function setFeatureMap(stream: StreamWriter, map: FeatureMap): void {
  const { register, bases } = map;
  const set = (name: RegisterName, size: number) => setFields(stream, name, { size });
  setFields(stream, `${register}_REGION`, { region: map.region });
  stream.set(`${register}_BASE0`, bases[0]);
  stream.set(`${register}_BASE1`, bases[1]);
  stream.set(`${register}_BASE2`, bases[2]);
  stream.set(`${register}_BASE3`, bases[3]);
  set(`${register}_WIDTH0_M1`, map.width0);
  set(`${register}_HEIGHT0_M1`, map.height0);
  set(`${register}_HEIGHT1_M1`, map.height1);
  if (register !== 'IFM2') set(`${register}_DEPTH_M1`, map.depth);
  stream.set(`${register}_STRIDE_Y`, map.strideY);
  stream.set(`${register}_STRIDE_X`, map.strideX);
  stream.set(`${register}_STRIDE_C`, map.strideC);
  stream.set(`${register}_ZERO_POINT`, map.zeroPoint);
}

function typeFields({ type, format }: FeatureMap) {
  return { type: type.isSigned ? 'signed' : 'unsigned', bits: String(8 * type.bytes), format };
}

function endFields({ region }: DmaEnd) {
  return region === null
    ? { memory: 'internal', region: internalRegion }
    : { memory: 'external', region };
}

/** As the hardware's own compiler writes it. */
const internalRegion = 3;

function setFields(
  stream: StreamWriter,
  name: RegisterName,
  fields: Readonly<Record<string, number | string>>,
): void {
  stream.set(name, paramOf(name, fields));
}
