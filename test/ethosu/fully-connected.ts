/** A fully connected layer as a stream of one op, for tests: rows on a height of one or more. */
import type { Accelerator } from '../../toolchain/ethosu/accelerators.ts';
import type { RegisterName } from '../../toolchain/ethosu/registers.ts';
import { type ChannelScale, writeScales } from '../../toolchain/ethosu/scales.ts';
import { layOut } from '../../toolchain/ethosu/shram.ts';
import { startStream } from '../../toolchain/ethosu/stream.ts';
import { encodeWeights } from '../../toolchain/ethosu/weight-encode.ts';
import { orderWeights } from '../../toolchain/ethosu/weight-order.ts';

export interface FullyConnected {
  readonly accelerator: Accelerator;
  readonly height: number;
  readonly width: number;
  readonly inputs: number;
  readonly outputs: number;
  readonly block: { readonly height: number; readonly width: number; readonly depth: number };
  /** `(outputs, inputs)`. */
  readonly weights: ArrayLike<number>;
  readonly scales: readonly ChannelScale[];
  readonly inputZeroPoint: number;
  readonly outputZeroPoint: number;
  readonly min: number;
  readonly max: number;
  readonly table: Int8Array | null;
}

export interface Compiled {
  readonly words: Uint32Array;
  readonly constants: Uint8Array;
  readonly inputOffset: number;
  readonly outputOffset: number;
  readonly arenaBytes: number;
}

const roundUp16 = (value: number) => (value + 15) & ~15;

/** Null: the block does not fit. */
export function compileFullyConnected(layer: FullyConnected): Compiled | null {
  const { accelerator, height, width, inputs, outputs, block, table } = layer;
  const layout = layOut(accelerator, {
    kind: 'conv',
    block,
    inputDepth: inputs,
    inputBytes: 1,
    kernel: { height: 1, width: 1 },
    stride: { y: 1, x: 1 },
    isPartKernelFirst: false,
    upscale: 'none',
    accumulator: 'int32',
    usesTable: table !== null,
    hasSecondInput: false,
    accumulatorRows: block.height,
  });
  if (layout === null) return null;
  const weights = encodeWeights(
    orderWeights(
      {
        outputs,
        height: 1,
        width: 1,
        inputs,
        isDepthwise: false,
        isPartKernelFirst: false,
        blockDepth: block.depth,
        inputBits: 8,
        subKernelHeight: 8,
        subKernelWidth: 8,
        microDepth: accelerator.microBlock.depth,
      },
      layer.weights,
    ),
  );
  const scales = writeScales(layer.scales);
  const tableBase = weights.length + scales.length;
  const constants = new Uint8Array(tableBase + (table === null ? 0 : 256));
  constants.set(weights);
  constants.set(scales, weights.length);
  if (table !== null) constants.set(new Uint8Array(table.buffer, table.byteOffset, 256), tableBase);
  const outputOffset = roundUp16(height * width * inputs);

  const stream = startStream();
  const setAll = (values: Readonly<Partial<Record<RegisterName, number>>>) => {
    for (const [name, value] of Object.entries(values)) stream.set(name as RegisterName, value);
  };
  if (table !== null) {
    setAll({ DMA0_SRC_REGION: 0, DMA0_SRC: tableBase, DMA0_DST_REGION: 0x103, DMA0_LEN: 256 });
    stream.set('DMA0_DST', (accelerator.shramBanks - 2) * 1024);
    stream.run('NPU_OP_DMA_START');
  }
  for (const map of ['IFM', 'OFM'] as const) {
    const depth = map === 'IFM' ? inputs : outputs;
    setAll({
      [`${map}_REGION`]: 1,
      [`${map}_BASE0`]: map === 'IFM' ? 0 : outputOffset,
      [`${map}_BASE1`]: 0,
      [`${map}_BASE2`]: 0,
      [`${map}_BASE3`]: 0,
      [`${map}_HEIGHT0_M1`]: height - 1,
      [`${map}_HEIGHT1_M1`]: height - 1,
      [`${map}_WIDTH0_M1`]: width - 1,
      [`${map}_DEPTH_M1`]: depth - 1,
      [`${map}_STRIDE_Y`]: width * depth,
      [`${map}_STRIDE_X`]: depth,
      [`${map}_STRIDE_C`]: 1,
      [`${map}_ZERO_POINT`]: map === 'IFM' ? layer.inputZeroPoint : layer.outputZeroPoint,
      [`${map}_PRECISION`]: 1,
    });
  }
  setAll({
    OFM_HEIGHT_M1: height - 1,
    OFM_WIDTH_M1: width - 1,
    IFM_UPSCALE: 0,
    IFM_PAD_TOP: 0,
    IFM_PAD_LEFT: 0,
    IFM_PAD_BOTTOM: 0,
    IFM_PAD_RIGHT: 0,
    KERNEL_HEIGHT_M1: 0,
    KERNEL_WIDTH_M1: 0,
    KERNEL_STRIDE: 0,
    WEIGHT_REGION: 0,
    WEIGHT_BASE: 0,
    WEIGHT_LENGTH: weights.length,
    SCALE_REGION: 0,
    SCALE_BASE: weights.length,
    SCALE_LENGTH: scales.length,
    ACTIVATION: table === null ? 0 : 16,
    ACTIVATION_MIN: layer.min,
    ACTIVATION_MAX: layer.max,
    OFM_BLK_HEIGHT_M1: block.height - 1,
    OFM_BLK_WIDTH_M1: block.width - 1,
    OFM_BLK_DEPTH_M1: block.depth - 1,
    IFM_IB_END: layout.inputEnd,
    AB_START: layout.accumulatorStart,
    ACC_FORMAT: 0,
    BLOCKDEP: 0,
  });
  if (table !== null) stream.run('NPU_OP_DMA_WAIT');
  stream.run('NPU_OP_CONV');
  return {
    words: stream.finish(),
    constants,
    inputOffset: 0,
    outputOffset,
    arenaBytes: outputOffset + height * width * outputs,
  };
}
