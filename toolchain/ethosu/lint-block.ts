/** Rules on what an op is: its types, its block, its buffers in SHRAM. */
import type { Accelerator } from './accelerators.ts';
import type { Block } from './operations.ts';
import { blockUse, layOut, mostBlock, type ShramLayout, splitDepth } from './shram.ts';

export function precisionProblems(operation: Block): readonly string[] {
  const { ifm, activation, accumulator, kind } = operation;
  const problems: string[] = [];
  const isSum = operation.kind === 'pool' && operation.mode === 'reduce-sum';
  if (ifm.type.bytes === 4 && kind !== 'elementwise' && !isSum) {
    problems.push(`a ${kind} of 32-bit inputs`);
  }
  if (isSum && ifm.type.bytes === 4 && ifm.format !== 'nhwc') {
    problems.push('a sum over 32-bit channels whose input is not NHWC');
  }
  if (accumulator === 'int40' && (ifm.type.bytes !== 2 || kind === 'pool')) {
    problems.push('40-bit accumulators without 16-bit inputs to scale');
  }
  if (activation.kind !== 'table' && activation.clip !== 'ofm') {
    problems.push(`the clip range ${activation.clip} without a table`);
  }
  if (activation.min > activation.max) {
    problems.push(`ACTIVATION_MIN ${activation.min} above ACTIVATION_MAX ${activation.max}`);
  }
  if (operation.kind === 'elementwise' && operation.second?.kind === 'tensor') {
    const { type } = operation.second.ifm2;
    if (type.bytes !== ifm.type.bytes || type.isSigned !== ifm.type.isSigned) {
      problems.push('IFM2_PRECISION of another type than IFM_PRECISION');
    }
  }
  if (operation.kind !== 'elementwise' && (ifm.height < 1 || ifm.width < 1)) {
    problems.push('padding without any input');
  }
  return problems;
}

export function blockProblems(operation: Block, { microBlock }: Accelerator): readonly string[] {
  const { block, ofm } = operation;
  const problems: string[] = [];
  for (const axis of ['height', 'width', 'depth'] as const) {
    if (block[axis] % microBlock[axis] !== 0) {
      problems.push(`block ${axis} ${block[axis]} is no multiple of ${microBlock[axis]}`);
    }
    if (block[axis] > mostBlock[axis]) {
      problems.push(`block ${axis} ${block[axis]} is above ${mostBlock[axis]}`);
    }
  }
  if (block.depth < ofm.depth && block.depth % splitDepth !== 0) {
    problems.push(
      `block depth ${block.depth}, less than the output's ${ofm.depth}, is no multiple of ${splitDepth}`,
    );
  }
  return problems;
}

export function shramProblems(operation: Block, accelerator: Accelerator): readonly string[] {
  const use = blockUse(operation);
  const layouts = [layOut(accelerator, use)];
  // Vela gives an output of one row accumulators for one, though the block has two.
  if (operation.ofm.height === 1 && accelerator.microBlock.height === 2) {
    layouts.push(layOut(accelerator, { ...use, accumulatorRows: 1 }));
  }
  const problems = layouts.map((layout) => layoutProblems(operation, accelerator, layout));
  return problems.find((list) => list.length === 0) ?? problems[0]!;
}

function layoutProblems(
  operation: Block,
  { shramBanks }: Accelerator,
  layout: ShramLayout | null,
): readonly string[] {
  const { block, shram } = operation;
  const name = `${block.height} × ${block.width} × ${block.depth}`;
  if (layout === null) {
    return [`the buffers of a block of ${name} do not fit ${shramBanks} KiB`];
  }
  const problems: string[] = [];
  const compare = (register: string, actual: number, expected: number) => {
    if (actual !== expected) {
      problems.push(`${register} is ${actual}, and ${expected} for a block of ${name}`);
    }
  };
  compare('IFM_IB_END', shram.inputEnd, layout.inputEnd);
  compare('AB_START', shram.accumulatorStart, layout.accumulatorStart);
  if (operation.kind === 'elementwise' && operation.second?.kind === 'tensor') {
    compare('IFM2_IB_START', operation.second.shramStart, layout.secondInputStart!);
  }
  return problems;
}
