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
import { type Brick, brickStreams, linearOperation } from '../ethosu/linear-operation.ts';
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
import { isConstant, type Node, tensorOf } from '../ir/graph.ts';
import { isSameRegion } from '../schedule/npu.ts';
import type { Call, NpuJob, Program, Slot } from '../schedule/program.ts';

export interface NpuImage {
  readonly accelerator: AcceleratorName;
  /** Weights, scales and tables of all jobs; begins at a multiple of 16. */
  readonly constants: Uint8Array;
  /** By job. */
  readonly jobs: readonly JobImage[];
}

export interface JobImage {
  readonly words: Uint32Array;
  /** The words in the container that Arm's driver takes. */
  readonly payload: Uint8Array;
  /** Of each region from 0 on. */
  readonly regionBytes: readonly number[];
}

type LinearNode = Node<'legal'> & { readonly op: 'linear' };

/** Null: nothing of the program runs on an NPU. */
export function npuImage(program: Program): NpuImage | null {
  const { npu, graph } = program;
  if (npu === null || npu.jobs.length === 0) return null;
  const accelerator = accelerators[npu.accelerator];
  const constants = new ConstantWriter();
  const streams = npu.jobs.map((job, index) =>
    jobOperations(program, accelerator, job, callsOfJob(program, index), constants),
  );
  const bytes = constants.bytes();
  const jobs = npu.jobs.map((job, index): JobImage => {
    const words = writeOperations(streams[index]!);
    const regionBytes = [
      bytes.length,
      ...job.regions.map((slot) => regionBytesOf(program, job, slot)),
    ];
    const [finding] = lint(words, accelerator, { regionBytes });
    if (finding !== undefined) {
      const { rule, word, message } = finding;
      throw internalError(
        `${rule}: ${message} (word ${word})`,
        `NPU job ${index} of ${graph.name}`,
      );
    }
    return { words, payload: writePayload(accelerator, words), regionBytes };
  });
  return { accelerator: npu.accelerator, constants: bytes, jobs };
}

export function callsOfJob(
  { segments }: Pick<Program, 'segments'>,
  index: number,
): readonly Call[] {
  return segments.flatMap(({ calls }) => calls.filter(({ job }) => job === index));
}

function regionBytesOf({ buffers }: Program, { rows }: NpuJob, slot: Slot): number {
  const { columns, dtype } = buffers[slot.buffer]!;
  return (slot.rows === 'tile' ? rows : 1) * columns * dtypes[dtype].bytes;
}

const tableSlot = 0;
const tableBytes = 256;

function jobOperations(
  program: Program,
  accelerator: Accelerator,
  job: NpuJob,
  calls: readonly Call[],
  constants: ConstantWriter,
): readonly WrittenOperation[] {
  const operations: WrittenOperation[] = [];
  const canOverlap = !hasSharedBytes(program, job);
  let before: WrittenConvolution | null = null;
  for (const [index, call] of calls.entries()) {
    const node = call.node as LinearNode;
    const { table } = node.integer;
    if (table !== null) {
      // An op under way may use the table before, or the banks where it will be.
      if (before !== null) operations.push({ kind: 'kernel-wait', outstanding: 0 });
      operations.push(tableDma(accelerator, constants.add(bytesOf(table))));
      operations.push({ kind: 'dma-wait', outstanding: 0 });
    }
    const made = convolutionOf(program, accelerator, job, index, call, constants);
    const blockdep: number = before === null || !canOverlap ? 0 : blockdepOf(before, made);
    const operation: WrittenConvolution = { ...made, blockdep };
    operations.push(operation);
    before = operation;
  }
  return operations;
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

function convolutionOf(
  program: Program,
  accelerator: Accelerator,
  job: NpuJob,
  index: number,
  call: Call,
  constants: ConstantWriter,
): WrittenConvolution {
  const { graph } = program;
  const node = call.node as LinearNode;
  const plan = job.layers[index]!;
  const brick: Brick = { first: 0, count: plan.outputs };
  const [weights, bias] = [1, 2].map((operand) => {
    const tensor = tensorOf(graph, node.inputs[operand]!);
    if (!isConstant(tensor)) throw internalError(`'${tensor.name}' is not constant`, node.name);
    return tensor.data;
  });
  const streams = brickStreams(accelerator, plan, brick, {
    weights: weights!,
    bias: bias!,
    integer: node.integer,
  });
  return linearOperation(accelerator, plan, brick, node.integer, {
    input: placeOf(program, job, call.inputs[0]!),
    output: placeOf(program, job, call.output),
    weights: constants.range(streams.weights),
    scales: constants.range(streams.scales),
    table: node.integer.table === null ? null : tableSlot,
  });
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

const alignment = 16;

/** Streams one after the other, each once. */
class ConstantWriter {
  private readonly parts: Uint8Array[] = [];
  private readonly known = new Map<string, number>();
  private length = 0;

  /** Its byte. */
  add(part: Uint8Array): number {
    const key = Buffer.from(part.buffer, part.byteOffset, part.byteLength).toString('latin1');
    const earlier = this.known.get(key);
    if (earlier !== undefined) return earlier;
    const at = this.length;
    this.known.set(key, at);
    this.parts.push(part);
    this.length += Math.ceil(part.length / alignment) * alignment;
    return at;
  }

  range(part: Uint8Array): StreamRange {
    return { region: 0, base: this.add(part), length: part.length };
  }

  bytes(): Uint8Array {
    const bytes = new Uint8Array(this.length);
    let at = 0;
    for (const part of this.parts) {
      bytes.set(part, at);
      at += Math.ceil(part.length / alignment) * alignment;
    }
    return bytes;
  }
}
