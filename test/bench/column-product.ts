/** What Vela makes of attention, for `npu.ts` to compare with: cycles by its own formulas. */
import type { Accelerator } from '../../toolchain/ethosu/accelerators.ts';
import { outputCycles, sram } from '../../toolchain/ethosu/cost.ts';

/**
 * A product of two activations as Vela lowers it for a U55: for each column of the result the rows
 * times that column, element by element to int32, and their sum.
 */
export function columnProductCycles(
  accelerator: Accelerator,
  {
    rows,
    depth,
    columns,
  }: { readonly rows: number; readonly depth: number; readonly columns: number },
): number {
  const { microBlock } = accelerator;
  const { table } = outputCycles[accelerator.macsPerCycle as keyof typeof outputCycles];
  // Vela counts an op without an activation like one with a table, which then decides.
  const product = Math.ceil(Math.max(wideProductCycles(accelerator), table) * rows * depth);
  const places = Math.ceil(rows / (microBlock.height * microBlock.width));
  const weightCycles = (32 * microBlock.depth) / 8;
  const mac = Math.max(weightCycles, 4 * places) * Math.ceil(depth / 32);
  const sum = mac + table * rows + sram.readLatency + sram.writeLatency;
  return columns * (product + sum);
}

/** Of an element of a product to int32. */
function wideProductCycles({ macsPerCycle }: Accelerator): number {
  return { 32: 3, 64: 1.5, 128: 0.75, 256: 0.5 }[macsPerCycle] ?? 1;
}
