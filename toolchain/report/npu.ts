/** What calls take on the NPU and on the core, as far as both could make them. */
import { npuImage } from '../emit/npu-image.ts';
import { accelerators } from '../ethosu/accelerators.ts';
import type { Compiled } from '../pipeline.ts';
import { coreEstimate, type NpuTarget, npuEstimate, runsOf } from '../schedule/npu.ts';
import { npuOf } from '../schedule/npu-target.ts';
import type { Report, ReportLayer } from './schema.ts';

/** What a layer of a report says of an NPU, and what it has another for. */
export type NpuLayer = Required<Pick<ReportLayer, 'device' | 'estimates'>> & Partial<ReportLayer>;

/** By call; none where the target has no NPU. */
export function npuLayers({ program, target, kernelOf }: Compiled): readonly NpuLayer[] {
  const npu = program.npu === null ? null : npuOf(target, kernelOf);
  if (npu === null) return [];
  const { graph, maxTokens: tokens } = program;
  const image = npuImage(program);
  const buffers = new Map(Object.entries(program.buffers));
  return program.segments.flatMap((segment) =>
    segment.calls.map((call, index): NpuLayer => {
      const request = { graph, npu, segment, buffers, tokens };
      const core = coreEstimate(request, call);
      if (call.attention !== null) {
        const { coreCycles, plan } = program.npu!.attentions[call.attention]!;
        const runs = runsOf(call, segment, tokens);
        const ofCore = coreCycles - plan.cycles * npu.coreCyclesPerCycle;
        return {
          device: 'npu',
          estimates: { core, npu: Math.round(runs * coreCycles) },
          kernel: 'lm_npu_attention_s8_s8',
          estimatedInstructions: Math.round(
            (runs * ofCore) / target.core.cost.cyclesPerInstruction,
          ),
          estimatedCycles: Math.round(runs * coreCycles),
        };
      }
      if (call.job === null) {
        return { device: 'core', estimates: { core, npu: npuEstimate(request, call) } };
      }
      const job = program.npu!.jobs[call.job]!;
      const first = segment.calls.findIndex((other) => other.job === call.job);
      const runs = runsOf(call, segment, tokens);
      const layer = job.layers[index - first]!;
      const ofLayers = job.layers.reduce((sum, { cycles }) => sum + cycles.total, 0);
      const share = (job.cycles * layer.cycles.total) / ofLayers;
      const cycles =
        runs * (share * npu.coreCyclesPerCycle + npu.jobCoreCycles / job.layers.length);
      const weightBytes = image!.jobs[call.job]!.layerBytes[index - first]!;
      const readings = layer.cycles.weights * npu.weightMemory.bytesPerCycle;
      return {
        device: 'npu',
        estimates: { core, npu: Math.round(cycles) },
        kernel: null,
        weightBytes,
        weightBytesRead: Math.round(runs * (job.stagedPlaceBytes > 0 ? weightBytes : readings)),
        estimatedInstructions: 0,
        estimatedCycles: Math.round(cycles),
      };
    }),
  );
}

/** Of all jobs; undefined where there are none. */
export function npuSummary(
  { program, target, kernelOf }: Compiled,
  layers: readonly ReportLayer[],
): Report['compute']['npu'] {
  const npu = npuOf(target, kernelOf);
  if (program.npu === null || npu === null) return undefined;
  const made = layers.filter(({ device }) => device === 'npu');
  const sum = (pick: (layer: ReportLayer) => number) =>
    made.reduce((total, layer) => total + pick(layer), 0);
  return {
    accelerator: npu.accelerator,
    jobs: program.npu.attentions.reduce(
      (sum, { plan }) => sum + plan.heads + 1,
      program.npu.jobs.length,
    ),
    runs: countRuns(program),
    macs: sum(({ macs }) => macs),
    estimatedCycles: sum(({ estimatedCycles }) => estimatedCycles),
    coreCycles: sum(({ estimates }) => estimates?.core ?? 0),
    estimatedFrom: estimatedFrom(npu),
  };
}

function countRuns({ segments, maxTokens, npu }: Compiled['program']): number {
  return segments.reduce(
    (sum, segment) =>
      sum +
      segment.calls.reduce((runs, call, index) => {
        const begins = call.job !== null && segment.calls[index - 1]?.job !== call.job;
        const products =
          call.attention === null ? 0 : 2 * npu!.attentions[call.attention]!.plan.heads;
        return runs + ((begins ? 1 : 0) + products) * runsOf(call, segment, maxTokens);
      }, 0),
    0,
  );
}

function estimatedFrom({ accelerator, weightMemory, jobCoreCycles }: NpuTarget): string {
  const { macsPerCycle } = accelerators[accelerator];
  return (
    `the formulas of Vela 5.1's performance model for ${accelerator} (${macsPerCycle} MAC a cycle), ` +
    `weights at ${weightMemory.bytesPerCycle} B a cycle and a byte each, activations in SRAM; starting a job is assumed ` +
    `to take the core ${jobCoreCycles} cycles; not timed on a board`
  );
}
