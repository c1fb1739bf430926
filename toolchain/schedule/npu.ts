/**
 * Which calls run on the NPU: neighbours in a tile become one job, where that takes fewer cycles than
 * on the core.
 *
 * Linear layers over int8 rows can run there: the NPU's rounding mode `tfl` gives the bits of their
 * definition (`ops/linear.ts`). What decides are cycles of both for all tokens there can be; a job is
 * started by the core, which waits for it.
 */
import { type AcceleratorName, accelerators } from '../ethosu/accelerators.ts';
import {
  type AttentionPlan,
  type AttentionShape,
  planAttention,
} from '../ethosu/attention-plan.ts';
import { dmaCycles, type MemorySpeed, sram } from '../ethosu/cost.ts';
import {
  type LinearPlan,
  type LinearShape,
  planLinear,
  type StagedLinears,
  stageLinears,
} from '../ethosu/linear-plan.ts';
import { roundUp } from '../integers.ts';
import { dtypes } from '../ir/dtypes.ts';
import { type Graph, type Stage, tensorOf } from '../ir/graph.ts';
import { endsInTable } from '../ops/linear.ts';
import type { NodeCall } from './cost.ts';
import type {
  Buffer,
  Call,
  NpuAttention,
  NpuJob,
  Program,
  ProgramSegment,
  Slot,
} from './program.ts';

/** An NPU as the scheduler sees it. */
export interface NpuTarget {
  readonly accelerator: AcceleratorName;
  /** Where weights are read from. */
  readonly weightMemory: MemorySpeed;
  /** Cycles of the core in one of the NPU. */
  readonly coreCyclesPerCycle: number;
  /** What starting a job and waiting for it costs the core besides, in its cycles. */
  readonly jobCoreCycles: number;
  /** What stays on the core of an attention whose products the NPU makes; null: it makes none. */
  readonly attention: AttentionCosts | null;
  /** Of all runs of a call on the core. */
  coreCycles(
    graph: Graph<Stage>,
    call: NodeCall,
    segment: Pick<ProgramSegment, 'rows' | 'tileRows'>,
    tokens: number,
  ): number;
}

/** Cycles of the core. */
export interface AttentionCosts {
  /** Of a key or value that is packed as a weight. */
  readonly pack: number;
  /** Of a score that becomes a weight. */
  readonly weigh: number;
  /** Of a sum that becomes a result. */
  readonly scale: number;
  /** Of a row of a head: a division. */
  readonly row: number;
}

/** Regions, scratch and payload of the NPU begin at multiples of this. */
export const npuAlignment = 16;
/** Region 0 has constants, the last may be for weights on their way. */
const mostRegions = 6;

/** Times that a call or a job of a segment runs. */
export function runsOf(
  { inner, onlyFirst }: Pick<Call, 'inner' | 'onlyFirst'>,
  segment: Pick<ProgramSegment, 'rows' | 'tileRows'>,
  tokens: number,
): number {
  if (onlyFirst || segment.rows === 1)
    return inner === null ? 1 : Math.ceil(tokens / inner.tileRows);
  const tiles = Math.ceil(tokens / segment.tileRows);
  if (inner?.over === 'tile') return tokens;
  return inner === null ? tiles : tiles * Math.ceil(tokens / inner.tileRows);
}

/** Cycles of the core in which it waits for jobs, in an inference over `tokens` tokens. */
export function jobCycles(
  { segments, npu: part }: Pick<Program, 'segments' | 'npu'>,
  tokens: number,
  npu: NpuTarget,
): number {
  let sum = 0;
  for (const segment of segments) {
    for (const [index, call] of segment.calls.entries()) {
      if (call.attention !== null) {
        sum += runsOf(call, segment, tokens) * part!.attentions[call.attention]!.coreCycles;
      }
      if (call.job === null || segment.calls[index - 1]?.job === call.job) continue;
      const { cycles } = part!.jobs[call.job]!;
      sum += runsOf(call, segment, tokens) * (npu.jobCoreCycles + cycles * npu.coreCyclesPerCycle);
    }
  }
  return sum;
}

export interface JobRequest {
  readonly graph: Graph<Stage>;
  readonly npu: NpuTarget;
  readonly segment: Pick<ProgramSegment, 'rows' | 'tileRows' | 'calls'>;
  readonly buffers: ReadonlyMap<string, Pick<Buffer, 'kind' | 'dtype' | 'columns'>>;
  readonly tokens: number;
}

/** A job, and which calls of the segment it makes. */
export interface FoundJob {
  readonly firstCall: number;
  readonly calls: number;
  readonly job: NpuJob;
}

export function findJobs(request: JobRequest): readonly FoundJob[] {
  const { calls } = request.segment;
  const candidates = calls.map((call) => candidateOf(request, call));
  const found: FoundJob[] = [];
  for (let start = 0; start < calls.length; start++) {
    let end = start;
    while (end < calls.length && isNeighbour(candidates, calls, start, end)) end++;
    if (end === start) continue;
    found.push(...bestJobs(request, candidates.slice(start, end) as Candidate[], start));
    start = end - 1;
  }
  return found;
}

/** A call that the NPU can make. */
interface Candidate {
  readonly call: Call;
  readonly rows: number;
  readonly plan: LinearPlan;
  /** Of one run on either, in cycles of the core. */
  readonly npuCycles: number;
  readonly coreCycles: number;
  readonly regions: readonly Slot[];
}

/** An attention whose products the NPU makes in fewer cycles than the core; null: there is no such. */
export function findAttention(request: JobRequest, call: Call): NpuAttention | null {
  const found = attentionOf(request, call);
  if (found === null || call.node === null) return null;
  const { graph, npu, segment, tokens } = request;
  const runs = runsOf(call, segment, tokens);
  const onCore = npu.coreCycles(graph, { ...call, node: call.node }, segment, tokens);
  return runs * found.coreCycles < onCore ? found : null;
}

function attentionOf(request: JobRequest, call: Call): NpuAttention | null {
  const { graph, npu, segment, tokens } = request;
  const { node, output } = call;
  const [q, , v] = call.inputs;
  if (npu.attention === null || node?.op !== 'attention' || q == null || v == null) return null;
  const { heads, reach } = node.attrs;
  if (reach !== undefined) return null;
  const isReadable = output.rows === 'tile' && call.inner === null && areAligned(request, q);
  if (!isReadable || q.firstColumn % npuAlignment !== 0) return null;
  if (!node.inputs.slice(1).every((name) => canBeWeights(graph, name))) return null;
  const rows = rowsOfJob(request, call);
  const [width, valueWidth] = [q.columns / heads, v.columns / heads];
  const shape: AttentionShape = { rows, tokens, heads, width, valueWidth };
  const plan = attentionOnce(npu, shape);
  if (plan === null) return null;
  const { pack, weigh, scale, row } = npu.attention;
  const tileRows = Math.min(segment.tileRows, tokens);
  const ofHead =
    pack * tokens * (width + valueWidth) + tileRows * (row + weigh * tokens + scale * valueWidth);
  return {
    plan,
    coreCycles: heads * (ofHead + 2 * npu.jobCoreCycles) + plan.cycles * npu.coreCyclesPerCycle,
  };
}

/** Sign and magnitude of 8 bits have no −128; `passes/narrow-keys.ts` keeps it out. */
function canBeWeights(graph: Graph<Stage>, name: string): boolean {
  const maker = graph.nodes.find(({ output }) => output === name);
  if (maker?.op !== 'linear') return false;
  return maker.integer === null || (maker.integer.table === null && maker.integer.min > -128);
}

const knownAttentions = new WeakMap<NpuTarget, Map<string, AttentionPlan | null>>();

function attentionOnce(npu: NpuTarget, shape: AttentionShape): AttentionPlan | null {
  const known = knownAttentions.get(npu) ?? new Map<string, AttentionPlan | null>();
  knownAttentions.set(npu, known);
  const key = JSON.stringify(shape);
  const plan = known.has(key) ? known.get(key)! : planAttention(npu.accelerator, shape);
  known.set(key, plan);
  return plan;
}

/** Of all runs of a call on the core, in its cycles; 0 of a copy. */
export function coreEstimate({ graph, npu, segment, tokens }: JobRequest, call: Call): number {
  const { node } = call;
  return node === null ? 0 : Math.round(npu.coreCycles(graph, { ...call, node }, segment, tokens));
}

/** The same on the NPU, each run a job; null: it cannot make the call. */
export function npuEstimate(request: JobRequest, call: Call): number | null {
  const attention = attentionOf(request, call);
  if (attention !== null) {
    return Math.round(runsOf(call, request.segment, request.tokens) * attention.coreCycles);
  }
  const candidate = candidateOf(request, call);
  if (candidate === null) return null;
  const runs = runsOf(call, request.segment, request.tokens);
  return Math.round(runs * (candidate.npuCycles + request.npu.jobCoreCycles));
}

function isNeighbour(
  candidates: readonly (Candidate | null)[],
  calls: readonly Call[],
  start: number,
  index: number,
): boolean {
  const [first, call] = [calls[start]!, calls[index]!];
  return (
    candidates[index] !== null &&
    candidates[index]?.rows === candidates[start]?.rows &&
    call.inner?.index === first.inner?.index &&
    call.onlyFirst === first.onlyFirst
  );
}

function candidateOf(request: JobRequest, call: Call): Candidate | null {
  const { graph, npu, segment, tokens } = request;
  const { node, output } = call;
  const [input] = call.inputs;
  if (node?.op !== 'linear' || input === null || input === undefined) return null;
  if (tensorOf(graph, node.inputs[0]!).dtype !== 'int8') return null;
  if (!areAligned(request, input) || !areAligned(request, output)) return null;
  const rows = rowsOfJob(request, call);
  const shape: LinearShape = {
    rows,
    inputs: input.columns,
    outputs: output.columns,
    outputBytes: tensorOf(graph, node.output).dtype === 'int16' ? 2 : 1,
    hasTable: endsInTable(node),
  };
  const plan = planOnce(npu, shape, npu.weightMemory);
  return {
    ...{ call, rows, plan },
    npuCycles: layerCycles(npu, plan) * npu.coreCyclesPerCycle,
    coreCycles:
      npu.coreCycles(graph, { ...call, node }, segment, tokens) / runsOf(call, segment, tokens),
    regions: [regionOf(request, input), regionOf(request, output)],
  };
}

/** Where one tile is all there is, a rounder number of rows has better layouts. */
function rowsOfJob({ segment, tokens }: JobRequest, { output, inner }: Call): number {
  if (output.rows !== 'tile') return 1;
  if (inner !== null) return inner.tileRows;
  const isOnlyTile = segment.rows === 1 || segment.tileRows >= tokens;
  return isOnlyTile && segment.tileRows > 1 ? roundUp(segment.tileRows, 8) : segment.tileRows;
}

/** A region begins at the first of the slot's rows, wherever the loops stand. */
function areAligned({ buffers, segment }: JobRequest, { buffer: name, rows }: Slot): boolean {
  const { dtype, columns, kind } = buffers.get(name)!;
  const rowBytes = columns * dtypes[dtype].bytes;
  switch (rows) {
    case 'tile':
      return kind === 'tile' || (segment.tileRows * rowBytes) % npuAlignment === 0;
    case 'first':
      return true;
    case 'last':
      return rowBytes % npuAlignment === 0;
    case 'outer':
    case 'all':
    case 'past':
    case 'ring':
      return false;
  }
}

function regionOf({ buffers }: JobRequest, { buffer, rows }: Slot): Slot {
  return { buffer, rows, firstColumn: 0, columns: buffers.get(buffer)!.columns };
}

/** The same shapes come again in every layer, and in every plan that is looked at. */
const knownPlans = new WeakMap<NpuTarget, Map<string, LinearPlan>>();

function planOnce(npu: NpuTarget, shape: LinearShape, memory: MemorySpeed): LinearPlan {
  const known = knownPlans.get(npu) ?? new Map<string, LinearPlan>();
  knownPlans.set(npu, known);
  const key = `${JSON.stringify(shape)} ${memory.bytesPerCycle}`;
  const plan = known.get(key) ?? planLinear(accelerators[npu.accelerator], shape, memory);
  known.set(key, plan);
  return plan;
}

/** With the table that it needs before. */
function layerCycles({ weightMemory }: NpuTarget, { cycles, hasTable }: LinearPlan): number {
  return cycles.total + (hasTable ? dmaCycles(tableBytes, weightMemory, sram) : 0);
}

const tableBytes = 256;

/**
 * Each call goes where the sum is least; every change to the NPU costs the start of a job. Of equal
 * sums the core's is taken.
 */
function bestJobs(
  { npu }: JobRequest,
  candidates: readonly Candidate[],
  firstCall: number,
): readonly FoundJob[] {
  let onCore: Way = { cycles: 0, jobs: [] };
  let onNpu: Way = { cycles: Number.POSITIVE_INFINITY, jobs: [] };
  for (const [index, candidate] of candidates.entries()) {
    const { npuCycles, coreCycles } = candidate;
    const open = onNpu.jobs.at(-1);
    const canJoin = open !== undefined && regionsOf([...open.candidates, candidate]) !== null;
    const joined: Way = {
      cycles: canJoin ? onNpu.cycles + npuCycles : Number.POSITIVE_INFINITY,
      jobs: canJoin
        ? onNpu.jobs.with(-1, { ...open, candidates: [...open.candidates, candidate] })
        : [],
    };
    const before = cheaper(onCore, onNpu);
    const begun: Way = {
      cycles: before.cycles + npu.jobCoreCycles + npuCycles,
      jobs: [...before.jobs, { first: index, candidates: [candidate] }],
    };
    onCore = { cycles: before.cycles + coreCycles, jobs: before.jobs };
    onNpu = cheaper(joined, begun);
  }
  return cheaper(onCore, onNpu).jobs.map(({ first, candidates: made }) => ({
    firstCall: firstCall + first,
    calls: made.length,
    job: { rows: made[0]!.rows, regions: regionsOf(made)!, ...weightsOf(npu, made) },
  }));
}

/** Weights are read in place, or brought to SRAM while the ops before run, where that is faster. */
function weightsOf(
  npu: NpuTarget,
  made: readonly Candidate[],
): Pick<NpuJob, 'layers' | 'stagedPlaceBytes' | 'cycles'> {
  const layers = made.map(({ plan }) => plan);
  const direct = layers.reduce((sum, plan) => sum + layerCycles(npu, plan), 0);
  const inPlace = { layers, stagedPlaceBytes: 0, cycles: direct };
  if (npu.weightMemory === sram) return inPlace;
  const staged = stageOnce(npu, layers);
  const tables = layers.reduce((sum, plan) => sum + layerCycles(npu, plan) - plan.cycles.total, 0);
  if (staged.cycles + tables >= direct) return inPlace;
  return {
    layers: staged.layers,
    stagedPlaceBytes: staged.placeBytes,
    cycles: staged.cycles + tables,
  };
}

const knownStages = new WeakMap<NpuTarget, Map<string, StagedLinears>>();

function stageOnce(npu: NpuTarget, layers: readonly LinearPlan[]): StagedLinears {
  const known = knownStages.get(npu) ?? new Map<string, StagedLinears>();
  knownStages.set(npu, known);
  const shapes = layers.map(
    ({ rows, inputs, outputs, outputBytes, hasTable }): LinearShape => ({
      ...{ rows, inputs, outputs, outputBytes, hasTable },
    }),
  );
  const key = JSON.stringify(shapes);
  const staged =
    known.get(key) ??
    stageLinears(
      accelerators[npu.accelerator],
      shapes.map((shape) => planOnce(npu, shape, sram)),
      npu.weightMemory,
    );
  known.set(key, staged);
  return staged;
}

interface Way {
  readonly cycles: number;
  readonly jobs: readonly { readonly first: number; readonly candidates: readonly Candidate[] }[];
}

function cheaper(a: Way, b: Way): Way {
  return b.cycles < a.cycles ? b : a;
}

/** Null: more than a stream can name. */
function regionsOf(candidates: readonly Candidate[]): readonly Slot[] | null {
  const regions: Slot[] = [];
  for (const slot of candidates.flatMap((candidate) => candidate.regions)) {
    if (!regions.some((known) => isSameRegion(known, slot))) regions.push(slot);
  }
  return regions.length <= mostRegions ? regions : null;
}

export function isSameRegion(a: Pick<Slot, 'buffer' | 'rows'>, b: Pick<Slot, 'buffer' | 'rows'>) {
  return a.buffer === b.buffer && a.rows === b.rows;
}
