/**
 * How an op's buffers lie in the 16 to 48 KiB of SHRAM, from its block.
 *
 *   bank 0 1 | 2 … input, twice | (second input, twice) | … | accumulators, twice | reserved or tables
 *            output             IFM2_IB_START    IFM_IB_END  AB_START              top
 *
 * Elementwise ops have no accumulators: their inputs may reach to the top. The formula is that of
 * Vela's `architecture_allocator.py`.
 */
import { roundUp } from '../integers.ts';
import {
  type Accelerator,
  bankBytes,
  inputMicroDepth,
  lookupBanks,
  type Shape3,
} from './accelerators.ts';
import type { Block } from './operations.ts';
import { subKernelLimit } from './weight-order.ts';

export interface ShramLayout {
  /** Banks. */
  readonly inputEnd: number;
  readonly accumulatorStart: number;
  /** Of the second input; null where there is none. */
  readonly secondInputStart: number | null;
}

export interface BlockUse {
  readonly kind: 'conv' | 'depthwise' | 'pool' | 'reduce-sum' | 'elementwise';
  readonly block: Shape3;
  readonly inputDepth: number;
  readonly inputBytes: 1 | 2 | 4;
  /** Of the dilated kernel. */
  readonly kernel: { readonly height: number; readonly width: number };
  readonly stride: { readonly y: number; readonly x: number };
  readonly isPartKernelFirst: boolean;
  readonly upscale: 'none' | 'nearest' | 'zeros';
  readonly accumulator: 'int32' | 'int40';
  readonly usesTable: boolean;
  /** Elementwise: a second input that is a tensor. */
  readonly hasSecondInput: boolean;
  /** Less than the block's for an output of one row, where micro blocks are two rows high. */
  readonly accumulatorRows: number;
}

const reservedOutputBanks = 2;
export const mostBlock: Shape3 = { height: 32, width: 64, depth: 128 };
/** A block less deep than the output is a multiple of this deep. */
export const splitDepth = 16;

/** Null: the block does not fit. */
export function layOut(accelerator: Accelerator, use: BlockUse): ShramLayout | null {
  const { shramBanks, reservedEndBanks } = accelerator;
  const top = shramBanks - Math.max(reservedEndBanks, use.usesTable ? lookupBanks : 0);
  const inputBanks = doubled(
    inputBlockBytes(accelerator, use),
    accelerator.inputGranule[use.inputBytes],
  );
  const inputEnd = reservedOutputBanks + inputBanks;
  if (use.kind === 'elementwise') {
    if (inputEnd + (use.hasSecondInput ? inputBanks : 0) > top) return null;
    return {
      inputEnd: top,
      accumulatorStart: top,
      secondInputStart: use.hasSecondInput ? inputEnd : null,
    };
  }
  const { block, accumulator, accumulatorRows } = use;
  const accumulatorBytes =
    accumulatorRows * block.width * roundUp(block.depth, 8) * (accumulator === 'int32' ? 4 : 5);
  const accumulatorStart =
    top - doubled(accumulatorBytes, accelerator.accumulatorGranule[accumulator]);
  if (inputEnd > accumulatorStart) return null;
  return { inputEnd, accumulatorStart, secondInputStart: null };
}

function doubled(bytes: number, granule: number): number {
  return roundUp(2 * Math.ceil(bytes / bankBytes), granule);
}

function inputBlockBytes({ microBlock }: Accelerator, use: BlockUse): number {
  const { block, kernel, stride, upscale } = use;
  const side = (outputs: number, step: number, taps: number, micro: number) => {
    const border = Math.min(taps, subKernelLimit) + (upscale === 'nearest' ? 1 : 0);
    const size = Math.ceil(((outputs - 1) * step + border) / (upscale === 'none' ? 1 : 2));
    return roundUp(size, micro);
  };
  const height = side(block.height, stride.y, kernel.height, microBlock.height);
  const width = side(block.width, stride.x, kernel.width, microBlock.width);
  return height * width * roundUp(inputBlockDepth(use) * use.inputBytes, 8);
}

/** Input channels of a block; ops without a sum over channels take those of the output block. */
export function inputBlockDepth({
  kind,
  block,
  inputDepth,
  inputBytes,
  isPartKernelFirst,
}: Pick<BlockUse, 'kind' | 'block' | 'inputDepth' | 'inputBytes' | 'isPartKernelFirst'>): number {
  if (kind !== 'conv' && kind !== 'reduce-sum') return block.depth;
  if (inputBytes === 2) return roundUp(Math.min(inputDepth, 16), 4);
  return roundUp(Math.min(inputDepth, isPartKernelFirst ? 16 : 32), inputMicroDepth);
}

/** What decides how an op's buffers lie in SHRAM. */
export function blockUse(operation: Block): BlockUse {
  const { ifm, block, activation, accumulator } = operation;
  const shared = {
    block,
    inputDepth: ifm.depth,
    inputBytes: ifm.type.bytes,
    accumulator,
    usesTable: activation.kind === 'table',
  };
  if (operation.kind === 'elementwise') {
    return {
      ...shared,
      kind: 'elementwise',
      kernel: { height: 1, width: 1 },
      stride: { y: 1, x: 1 },
      isPartKernelFirst: false,
      upscale: 'none',
      hasSecondInput: operation.second?.kind === 'tensor',
      accumulatorRows: block.height,
    };
  }
  const { kernel, upscale } = operation;
  const isSum = operation.kind === 'pool' && operation.mode === 'reduce-sum';
  return {
    ...shared,
    kind: isSum ? 'reduce-sum' : operation.kind,
    kernel: { height: kernel.height, width: kernel.width },
    stride: { y: kernel.strideY, x: kernel.strideX },
    isPartKernelFirst: operation.kind === 'conv' && kernel.isPartKernelFirst,
    upscale,
    hasSecondInput: false,
    accumulatorRows: block.height,
  };
}
