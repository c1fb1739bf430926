/**
 * A program's jobs as the NPU takes them: a payload for each, and the constants that all of them read
 * as region 0.
 *
 * A job's ops run in the order of its calls; tables are fetched right before the op that uses them.
 * Every stream is held against all rules of the lint: what breaks one is never written.
 */
import { internalError } from '../errors.ts';
import {
  type Accelerator,
  type AcceleratorName,
  accelerators,
  lookupStart,
} from '../ethosu/accelerators.ts';
import { brickStreams, type LinearConstants, linearOperation } from '../ethosu/linear-operation.ts';
import type { Brick, LinearPlan } from '../ethosu/linear-plan.ts';
import { lint } from '../ethosu/lint.ts';
import { safeBlockdep } from '../ethosu/lint-hazards.ts';
import type { StreamRange } from '../ethosu/operations.ts';
import { writePayload } from '../ethosu/payload.ts';
import {
  type WrittenConvolution,
  type WrittenOperation,
  writeOperations,
} from '../ethosu/write-operations.ts';
import { dtypes } from '../ir/dtypes.ts';
import { type Graph, isConstant, type Node, tensorOf } from '../ir/graph.ts';
import { isSameRegion } from '../schedule/npu.ts';
import type { Call, NpuJob, Program, Slot } from '../schedule/program.ts';
import { ConstantWriter } from './constant-writer.ts';
import { attentionStreams } from './npu-attention-image.ts';

export interface NpuImage {
  readonly accelerator: AcceleratorName;
  /** Weights, scales and tables of all jobs; begins at a multiple of 16. */
  readonly constants: Uint8Array;
  /** By job. */
  readonly jobs: readonly JobImage[];
  /** By attention. */
  readonly attentions: readonly AttentionImage[];
}

/** Streams for the scores of each head, and one for the sums of any. */
export interface AttentionImage {
  readonly jobs: readonly JobImage[];
}

export interface JobImage {
  readonly words: Uint32Array;
  /** The words in the container that Arm's driver takes. */
  readonly payload: Uint8Array;
  /** Of each region from 0 on. */
  readonly regionBytes: readonly number[];
  /** By call: weights, scales and table. */
  readonly layerBytes: readonly number[];
}

type LinearNode = Node<'legal'> & { readonly op: 'linear' };

const knownImages = new WeakMap<Program, NpuImage | null>();

/** Null: nothing of the program runs on an NPU. Weights are encoded once. */
export function npuImage(program: Program): NpuImage | null {
  const known = knownImages.get(program);
  if (known !== undefined) return known;
  const image = makeImage(program);
  knownImages.set(program, image);
  return image;
}

function makeImage(program: Program): NpuImage | null {
  const { npu, graph } = program;
  if (npu === null || npu.jobs.length + npu.attentions.length === 0) return null;
  const accelerator = accelerators[npu.accelerator];
  const constants = new ConstantWriter();
  const streams = npu.jobs.map((job, index) =>
    jobOperations(program, accelerator, job, callsOfJob(program, index), constants),
  );
  const products = npu.attentions.map(({ plan }, index) => {
    const call = callsOf(program).find(({ attention }) => attention === index)!;
    const { integer } = call.node as AttentionNode;
    const { columns } = program.buffers[call.inputs[0]!.buffer]!;
    return attentionStreams(accelerator, plan, integer, columns, constants);
  });
  const bytes = constants.bytes();
  const imageOf = (
    operations: readonly WrittenOperation[],
    otherBytes: readonly number[],
    layerBytes: readonly number[],
    what: string,
  ): JobImage => {
    const words = writeOperations(operations);
    const regionBytes = [bytes.length, ...otherBytes];
    const [finding] = lint(words, accelerator, { regionBytes });
    if (finding !== undefined) {
      const { rule, word, message } = finding;
      throw internalError(`${rule}: ${message} (word ${word})`, `${what} of ${graph.name}`);
    }
    return { words, payload: writePayload(accelerator, words), regionBytes, layerBytes };
  };
  return {
    accelerator: npu.accelerator,
    constants: bytes,
    jobs: npu.jobs.map((job, index) => {
      const { operations, layerBytes } = streams[index]!;
      const otherBytes = job.regions.map((slot) => regionBytesOf(program, job, slot));
      return imageOf(operations, otherBytes, layerBytes, `NPU job ${index}`);
    }),
    attentions: products.map((ofAttention, index) => ({
      jobs: ofAttention.map(({ operations, regionBytes }) =>
        imageOf(operations, regionBytes, [], `NPU attention ${index}`),
      ),
    })),
  };
}

type AttentionNode = Node<'legal'> & { readonly op: 'attention' };

function callsOf({ segments }: Pick<Program, 'segments'>): readonly Call[] {
  return segments.flatMap(({ calls }) => calls);
}

function callsOfJob({ segments }: Pick<Program, 'segments'>, index: number): readonly Call[] {
  return callsOf({ segments }).filter(({ job }) => job === index);
}

function regionBytesOf({ buffers }: Program, { rows }: NpuJob, slot: Slot): number {
  const { columns, dtype } = buffers[slot.buffer]!;
  return (slot.rows === 'tile' ? rows : 1) * columns * dtypes[dtype].bytes;
}

const tableSlot = 0;
const tableBytes = 256;

/** An op of a job with all that has to be there before it. */
interface Step {
  readonly call: Call;
  readonly plan: LinearPlan;
  readonly brick: Brick;
  /** Where its weights and scales are, each a whole stream. */
  readonly weights: StreamRange;
  readonly scales: StreamRange;
  /** How they get there; null: they stay where they are. */
  readonly fetch: WrittenOperation | null;
}

/**
 * While an op runs, the weights of the next one come:
 *
 *   DMA 0 · wait for DMA · op 0 · DMA 1 · wait for DMA · op 1 · wait for op 0 · DMA 2 · …
 */
function jobOperations(
  program: Program,
  accelerator: Accelerator,
  job: NpuJob,
  calls: readonly Call[],
  constants: ConstantWriter,
): { readonly operations: readonly WrittenOperation[]; readonly layerBytes: readonly number[] } {
  const steps = stepsOf(program, accelerator, job, calls, constants);
  const operations: WrittenOperation[] = [];
  const canOverlap = !hasSharedBytes(program, job);
  let before: WrittenConvolution | null = null;
  const fetch = (index: number) => {
    const next = steps[index]?.fetch ?? null;
    if (next === null) return;
    // Only the op before may still be at work: its weights are in the other place.
    if (index >= 2) operations.push({ kind: 'kernel-wait', outstanding: 1 });
    operations.push(next);
  };
  fetch(0);
  for (const [index, step] of steps.entries()) {
    const { integer } = step.call.node as LinearNode;
    const { table } = integer;
    if (table !== null && step.brick.first === 0) {
      // An op under way may use the table before, or the banks where it will be.
      if (before !== null) operations.push({ kind: 'kernel-wait', outstanding: 0 });
      operations.push(tableDma(accelerator, constants.add(bytesOf(table))));
    }
    if (operations.at(-1)?.kind === 'dma') operations.push({ kind: 'dma-wait', outstanding: 0 });
    const made = linearOperation(accelerator, step.plan, step.brick, integer, {
      input: placeOf(program, job, step.call.inputs[0]!),
      output: placeOf(program, job, step.call.output),
      weights: step.weights,
      scales: step.scales,
      table: table === null ? null : tableSlot,
    });
    const blockdep: number = before === null || !canOverlap ? 0 : blockdepOf(before, made);
    const operation: WrittenConvolution = { ...made, blockdep };
    operations.push(operation);
    before = operation;
    fetch(index + 1);
  }
  const layerBytes = calls.map((call) => {
    const own = steps.filter((step) => step.call === call);
    const { table } = (call.node as LinearNode).integer;
    const streams = own.reduce(
      (sum, { weights, scales }) => sum + weights.length + scales.length,
      0,
    );
    return streams + (table === null ? 0 : tableBytes);
  });
  return { operations, layerBytes };
}

function stepsOf(
  { graph }: Program,
  accelerator: Accelerator,
  job: NpuJob,
  calls: readonly Call[],
  constants: ConstantWriter,
): readonly Step[] {
  const bricks = calls.flatMap((call, index) => {
    const plan = job.layers[index]!;
    return plan.bricks.map((brick) => ({ call, plan, brick }));
  });
  return bricks.map(({ call, plan, brick }, index): Step => {
    const streams = brickStreams(accelerator, plan, brick, constantsOf(graph, call));
    if (job.stagedPlaceBytes === 0) {
      const { weights, scales } = streams;
      const [from, scaleFrom] = [constants.range(weights), constants.range(scales)];
      return { call, plan, brick, weights: from, scales: scaleFrom, fetch: null };
    }
    const together = Uint8Array.from([...streams.weights, ...streams.scales]);
    if (together.length > job.stagedPlaceBytes) {
      const where = `NPU layer ${call.node!.name}`;
      throw internalError(`a brick has ${together.length} bytes of weights`, where);
    }
    const region = job.regions.length;
    const place = (index % 2) * job.stagedPlaceBytes;
    return {
      ...{ call, plan, brick },
      weights: { region, base: place, length: streams.weights.length },
      scales: { region, base: place + streams.weights.length, length: streams.scales.length },
      fetch: {
        kind: 'dma',
        source: { region: 0, address: constants.add(together) },
        destination: { region, address: place },
        length: together.length,
      },
    };
  });
}

function constantsOf(graph: Graph<'legal'>, { node }: Call): LinearConstants {
  const { name, inputs, integer } = node as LinearNode;
  const [weights, bias] = [1, 2].map((operand) => {
    const tensor = tensorOf(graph, inputs[operand]!);
    if (!isConstant(tensor)) throw internalError(`'${tensor.name}' is not constant`, name);
    return tensor.data;
  });
  return { weights: weights!, bias: bias!, integer };
}

function tableDma(accelerator: Accelerator, address: number): WrittenOperation {
  return {
    kind: 'dma',
    source: { region: 0, address },
    destination: { region: null, address: lookupStart(accelerator) + tableSlot * tableBytes },
    length: tableBytes,
  };
}

/** Regions are apart for the lint; a result that overwrites an operand row by row is not. */
function hasSharedBytes({ buffers }: Program, { regions }: NpuJob): boolean {
  const roots = regions.map(({ buffer }) => buffers[buffer]!.sharesWith ?? buffer);
  return new Set(roots).size < new Set(regions.map(({ buffer }) => buffer)).size;
}

function blockdepOf(before: WrittenConvolution, operation: WrittenConvolution): number {
  const placed = (op: WrittenConvolution) => ({ ...op, word: 0, missing: [] });
  return safeBlockdep(placed(before), placed(operation));
}

function placeOf({ buffers }: Program, { regions }: NpuJob, slot: Slot) {
  const { columns, dtype } = buffers[slot.buffer]!;
  const { bytes } = dtypes[dtype];
  return {
    region: 1 + regions.findIndex((region) => isSameRegion(region, slot)),
    base: slot.firstColumn * bytes,
    strideBytes: columns * bytes,
  };
}

function bytesOf(data: Int8Array): Uint8Array {
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
}
