/** Marks the calls of a laid-out program that the NPU makes, and gives their jobs what they need in the arena. */
import { roundUp } from '../integers.ts';
import type { Graph, Stage } from '../ir/graph.ts';
import { findAttention, findJobs, type NpuTarget, npuAlignment } from './npu.ts';
import type { OpenBuffer } from './place-buffers.ts';
import type { Call, NpuAttention, NpuJob, NpuPart, ProgramSegment, Slot } from './program.ts';

export interface NpuLayout {
  readonly segments: readonly ProgramSegment[];
  readonly npu: NpuPart;
}

/** Buffers live longer where a job uses them, some are opened, and scratch of kernels is dropped. */
export function layOutNpu(
  graph: Graph<Stage>,
  segments: readonly ProgramSegment[],
  buffers: Map<string, OpenBuffer>,
  npu: NpuTarget,
  tokens: number,
): NpuLayout {
  const jobs: NpuJob[] = [];
  const attentions: NpuAttention[] = [];
  // Runs may begin at any row there, and a region only at multiples of 16 bytes.
  const keepsState = [...buffers.values()].some(({ kind }) => kind === 'state');
  let firstCall = 0;
  const marked = segments.map((segment): ProgramSegment => {
    const calls: Call[] = [...segment.calls];
    const request = { graph, npu, segment, buffers, tokens };
    for (const found of keepsState ? [] : findJobs(request)) {
      const first = firstCall + found.firstCall;
      const last = first + found.calls - 1;
      const { stagedPlaceBytes } = found.job;
      const scratch = stagedPlaceBytes === 0 ? null : `weights:${jobs.length}`;
      if (scratch !== null) buffers.set(scratch, openScratch(2 * stagedPlaceBytes, first));
      const job = scratch === null ? found.job : withRegion(found.job, scratch);
      for (let index = found.firstCall; index < found.firstCall + found.calls; index++) {
        calls[index] = { ...calls[index]!, job: jobs.length, scratch };
      }
      jobs.push(job);
      // Its ops overlap: nothing of it may lie where another part of it was.
      for (const { buffer: name } of job.regions) {
        const buffer = buffers.get(name)!;
        buffer.firstCall = Math.min(buffer.firstCall, first);
        buffer.lastCall = Math.max(buffer.lastCall, last);
      }
    }
    for (const [index, call] of calls.entries()) {
      const attention = keepsState ? null : findAttention(request, call);
      if (attention === null) continue;
      const scratch = `products:${attentions.length}`;
      buffers.set(scratch, openScratch(attention.plan.scratchBytes, firstCall + index));
      calls[index] = { ...call, scratch, attention: attentions.length };
      attentions.push(attention);
    }
    firstCall += calls.length;
    return { ...segment, calls };
  });
  dropUnusedScratch(marked, buffers);
  return { segments: marked, npu: { accelerator: npu.accelerator, jobs, attentions } };
}

/** The job with the region through which its weights come. */
function withRegion(job: NpuJob, buffer: string): NpuJob {
  const columns = 2 * job.stagedPlaceBytes;
  const region: Slot = { buffer, rows: 'first', firstColumn: 0, columns };
  return { ...job, regions: [...job.regions, region] };
}

function openScratch(columns: number, call: number): OpenBuffer {
  return {
    ...{ kind: 'scratch', turned: false, dtype: 'uint8', rows: 1, ring: null, columns },
    sizeBytes: roundUp(columns, npuAlignment),
    ...{ firstCall: call, lastCall: call, tensors: [], overwrittenBy: null },
  };
}

/** Kernels of calls that the NPU makes have none. */
function dropUnusedScratch(
  segments: readonly ProgramSegment[],
  buffers: Map<string, OpenBuffer>,
): void {
  const used = new Set(segments.flatMap(({ calls }) => calls.map(({ scratch }) => scratch)));
  for (const [name, { kind }] of buffers) {
    if (kind === 'scratch' && !used.has(name)) buffers.delete(name);
  }
}
