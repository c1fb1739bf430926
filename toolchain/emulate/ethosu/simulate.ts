/**
 * The NPU as a function: a command stream on regions of memory, op by op, each whole before the next.
 *
 * It gives the bits of the hardware as far as they are known (`toolchain/ethosu/README.md`); time,
 * overlap and the layout of SHRAM are the lint's matter. Everything that does not make sense is an
 * error with the word of its op; work and memory are bounded before they are spent.
 */
import { assertExhaustive } from '../../errors.ts';
import type { Accelerator } from '../../ethosu/accelerators.ts';
import type { Block, Dma, DmaEnd, Operation } from '../../ethosu/operations.ts';
import { readOperations } from '../../ethosu/read-operations.ts';
import { readStream, streamError } from '../../ethosu/stream.ts';
import { convolve, pool, type WeightStream } from './convolution.ts';
import { elementwise } from './elementwise.ts';
import { writeTensor } from './feature-map.ts';
import { checkBounds, type Memory, memoryOf, type Space, spaceOf } from './memory.ts';
import { finisher } from './output.ts';

export interface Simulation {
  readonly operations: number;
  /** Multiply-accumulates, as the shapes say. */
  readonly macs: number;
  readonly weightStreams: readonly WeightStream[];
}

export interface SimulationOptions {
  /** Multiply-accumulates and elements; more are an error. */
  readonly mostWork?: number;
}

/** Half a minute of work. */
const defaultMostWork = 2 ** 34;

export function simulate(
  words: Uint32Array,
  accelerator: Accelerator,
  regions: readonly Space[],
  { mostWork = defaultMostWork }: SimulationOptions = {},
): Simulation {
  const memory = memoryOf(accelerator, regions);
  const weightStreams: WeightStream[] = [];
  let operations = 0;
  let macs = 0;
  let work = 0;
  for (const operation of readOperations(readStream(words))) {
    if (operation.kind === 'stop') return { operations, macs, weightStreams };
    operations++;
    work += workOf(operation);
    if (work > mostWork) {
      throw streamError(operation.word, `more work than ${mostWork.toLocaleString('en-US')} steps`);
    }
    macs += macsOf(operation);
    const stream = run(memory, accelerator, operation);
    if (stream !== null) weightStreams.push(stream);
  }
  throw streamError(words.length, 'the stream ends without NPU_OP_STOP');
}

function run(memory: Memory, accelerator: Accelerator, operation: Operation): WeightStream | null {
  switch (operation.kind) {
    case 'conv':
    case 'depthwise':
    case 'pool':
    case 'elementwise':
      return runBlock(memory, accelerator, operation);
    case 'dma':
      copy(memory, operation);
      return null;
    // Every op ends before the next begins: nothing is left to wait for.
    case 'dma-wait':
    case 'kernel-wait':
    case 'irq':
    case 'pmu-mask':
    case 'stop':
      return null;
    default:
      return assertExhaustive(operation);
  }
}

function runBlock(memory: Memory, accelerator: Accelerator, operation: Block): WeightStream | null {
  checkRegisters(operation);
  const { ofm, word } = operation;
  const finish = finisher(memory, accelerator, operation);
  switch (operation.kind) {
    case 'conv':
    case 'depthwise': {
      const { values, stream } = convolve(memory, accelerator, operation, finish);
      writeTensor(memory, ofm, values, word);
      return stream;
    }
    case 'pool':
      writeTensor(memory, ofm, pool(memory, operation, finish), word);
      return null;
    case 'elementwise':
      writeTensor(memory, ofm, elementwise(memory, operation, finish), word);
      return null;
  }
}

function copy(memory: Memory, operation: Dma): void {
  checkRegisters(operation);
  const { source, destination, length, word } = operation;
  const from = endSpace(memory, source, 'the DMA source', word);
  const to = endSpace(memory, destination, 'the DMA destination', word);
  checkBounds(from, source.address, length, 'the DMA source', word);
  checkBounds(to, destination.address, length, 'the DMA destination', word);
  to.bytes.set(from.bytes.slice(source.address, source.address + length), destination.address);
  if (to.isDefined === null) return;
  const isDefined = from.isDefined?.slice(source.address, source.address + length);
  if (isDefined === undefined) {
    to.isDefined.fill(1, destination.address, destination.address + length);
  } else {
    to.isDefined.set(isDefined, destination.address);
  }
}

function endSpace(memory: Memory, { region }: DmaEnd, what: string, word: number): Space {
  return region === null ? memory.shram : spaceOf(memory, region, what, word);
}

function checkRegisters({ missing, word }: Block | Dma): void {
  if (missing.length > 0) throw streamError(word, `${missing.join(', ')} was never set`);
}

export function macsOf(operation: Operation): number {
  if (operation.kind !== 'conv' && operation.kind !== 'depthwise') return 0;
  const { ofm, ifm, kernel, kind } = operation;
  const taps =
    Math.ceil(kernel.height / kernel.dilationY) * Math.ceil(kernel.width / kernel.dilationX);
  return ofm.height * ofm.width * ofm.depth * taps * (kind === 'conv' ? ifm.depth : 1);
}

function workOf(operation: Operation): number {
  switch (operation.kind) {
    case 'conv':
    case 'depthwise':
    case 'elementwise':
    case 'pool': {
      const { ofm, ifm } = operation;
      const elements = ofm.height * ofm.width * ofm.depth;
      const window =
        operation.kind === 'pool' ? operation.kernel.height * operation.kernel.width : 1;
      const sum = operation.kind === 'pool' && operation.mode === 'reduce-sum' ? ifm.depth : 1;
      return elements * window * sum + ifm.height * ifm.width * ifm.depth + macsOf(operation);
    }
    case 'dma':
      return operation.length;
    default:
      return 1;
  }
}
