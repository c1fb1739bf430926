/** Rules on where an op reads and writes. */
import { type Accelerator, bankBytes } from './accelerators.ts';
import { blockAccesses, dmaAccesses } from './address-ranges.ts';
import type { Block, Dma, DmaEnd, FeatureMap } from './operations.ts';

const busBytes = 16;

export function alignmentProblems(
  operation: Block | Dma,
  { addressBits }: Accelerator,
): readonly string[] {
  const problems: string[] = [];
  const check = (name: string, value: number, multiple: number) => {
    if (value % multiple !== 0) problems.push(`${name} ${value} is no multiple of ${multiple}`);
  };
  if (operation.kind === 'dma') {
    const { source, destination, length } = operation;
    // With 40 address bits (U65) only SHRAM asks for it.
    const matters = ({ region }: DmaEnd) => region === null || addressBits === 32;
    if (matters(source)) check('DMA0_SRC', source.address, busBytes);
    if (matters(destination)) check('DMA0_DST', destination.address, busBytes);
    if (matters(destination)) check('DMA0_LEN', length, busBytes);
    return problems;
  }
  const checkMap = (map: FeatureMap) => {
    const { register, bases, format, strideY, strideX, strideC, type } = map;
    const isBricks = format === 'nhcwb16';
    bases.forEach((base, tile) => {
      check(`${register}_BASE${tile}`, base, isBricks ? busBytes : type.bytes);
    });
    check(`${register}_STRIDE_Y`, strideY, isBricks ? busBytes * type.bytes : type.bytes);
    if (isBricks) check(`${register}_STRIDE_C`, strideC, busBytes * type.bytes);
    else check(`${register}_STRIDE_X`, strideX, type.bytes);
  };
  checkMap(operation.ifm);
  checkMap(operation.ofm);
  if (operation.kind === 'elementwise' && operation.second?.kind === 'tensor') {
    checkMap(operation.second.ifm2);
  }
  if (operation.kind === 'conv' || operation.kind === 'depthwise') {
    check('WEIGHT_BASE', operation.weights.base, busBytes);
    check('WEIGHT_LENGTH', operation.weights.length, busBytes);
    check('SCALE_BASE', operation.scales.base, busBytes);
    check('SCALE_LENGTH', operation.scales.length, busBytes);
  }
  return problems;
}

export function boundsProblems(
  operation: Block | Dma,
  accelerator: Accelerator,
  regionBytes: readonly number[],
): readonly string[] {
  const { reads, writes } =
    operation.kind === 'dma' ? dmaAccesses(operation) : blockAccesses(accelerator, operation);
  const shramBytes = accelerator.shramBanks * bankBytes;
  return [...reads, ...writes].flatMap(({ region, end, what }) => {
    const size = region === null ? shramBytes : regionBytes[region];
    const name = region === null ? 'SHRAM' : `region ${region}`;
    if (size === undefined) return [`${what} is in ${name}, which is not there`];
    return end <= size ? [] : [`${what} goes to byte ${end} of ${name}, which has ${size}`];
  });
}
