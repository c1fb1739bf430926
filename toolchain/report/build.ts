/** The numbers of a compiled model, and of its firmware where it was linked, as one report. */
import type { Firmware } from '../build/firmware.ts';
import { nodeConstants, sectionMacros, sectionNames } from '../emit/c-constants.ts';
import type { ConstantArray } from '../emit/c-text.ts';
import { type Graph, type Node, rowsOf, tensorOf } from '../ir/graph.ts';
import { opOf } from '../ops/index.ts';
import { packageVersion } from '../package-root.ts';
import type { Compiled, CompiledProgram } from '../pipeline.ts';
import { type CostTarget, callCost, waitCycles } from '../schedule/cost.ts';
import { type Kernel, packWeights } from '../schedule/kernels.ts';
import { codeReserveBytes, constantParts, ramReserveBytes } from '../schedule/placement.ts';
import { peakOf } from '../schedule/plan.ts';
import { planText } from '../schedule/plan-text.ts';
import { type Buffer, keepsState, liveBytes, type Program } from '../schedule/program.ts';
import { sha256Of } from '../sha256.ts';
import type { AnyTarget } from '../targets.ts';
import { npuLayers, npuSummary } from './npu.ts';
import { rowBytesRead } from './row-reads.ts';
import type { Report, ReportBuffer, ReportLayer, ReportRegion } from './schema.ts';
import { tokenOf } from './token.ts';

/** What the report takes of a firmware: the measured image and the stack bound. */
export type Linked = Pick<Firmware, 'image' | 'stack'>;

/** `firmware`: null where only sources or a library were made. */
export function buildReport(compiled: Compiled, firmware: Linked | null): Report {
  const { program, target } = compiled;
  const onNpu = npuLayers(compiled);
  const estimate = firmwareEstimate(compiled);
  const layers = layersOf(compiled, estimate).map((layer, call) => ({
    ...layer,
    ...onNpu[call],
  }));
  const npu = npuSummary(compiled, layers);
  const arenaRegion = compiled.placement[sectionNames.arena] ?? target.dataRegion;
  const regions = regionsOf(compiled, firmware, arenaRegion);
  const sum = (pick: (layer: ReportLayer) => number): number =>
    layers.reduce((total, layer) => total + pick(layer), 0);
  return {
    version: 1,
    tool: { name: 'lm2mcu', version: packageVersion() },
    model: modelOf(compiled),
    target: {
      name: target.name,
      title: target.title,
      chip: target.chip,
      core: target.core.name,
      npu: target.npu?.accelerator ?? null,
      clockHz: target.clockHz,
      verified: { status: target.verified.status, how: target.verified.how },
    },
    maxTokens: program.maxTokens,
    plan: planOf(compiled),
    flash: flashOf(compiled, firmware, regions),
    sram: sramOf(compiled, firmware, regions),
    predicted: {
      flashBytes: predictedIn(regions, isFlash),
      sramBytes: predictedIn(regions, isRam),
      codeReserveBytes,
      sramReserveBytes: ramReserveBytes,
    },
    regions,
    arena: {
      region: arenaRegion,
      sizeBytes: program.arenaBytes,
      lowerBoundBytes: program.lowerBoundBytes,
      gapBytes: Math.max(0, program.arenaBytes - program.lowerBoundBytes),
    },
    compute: {
      macs: sum((layer) => layer.macs),
      macsUnoptimized: compiled.macsUnoptimized,
      estimatedInstructions: sum((layer) => layer.estimatedInstructions),
      estimatedCycles: sum((layer) => layer.estimatedCycles),
      estimatedFrom: estimatedFrom(compiled),
      ...(npu === undefined ? {} : { npu }),
    },
    ...(keepsState(program) ? { token: tokenOf(compiled, estimate) } : {}),
    layers,
    segments: segmentsOf(program),
    calls: callsOf(program),
    buffers: buffersOf(program),
    stack:
      firmware === null
        ? null
        : {
            boundBytes: firmware.stack.bytes,
            path: firmware.stack.path.map(({ name, bytes }) => ({ name, bytes })),
          },
    notes: [...compiled.notes],
  };
}

export function modelOf({
  imported,
  graphBin,
  program,
}: CompiledProgram<AnyTarget>): Report['model'] {
  const { card } = imported;
  return {
    name: card.name,
    kind: card.kind,
    parameters: card.parameters,
    sha256: card.sha256,
    compiledSha256: sha256Of(graphBin),
    labels: card.labels,
    maxPositions: card.maxPositions,
    vocabularySize: card.vocabularySize,
    storedVocabularySize: storedVocabularySize(program.graph),
  };
}

export function planOf({ goal, planned, program }: CompiledProgram<AnyTarget>): Report['plan'] {
  const { arenaBytes, lowerBoundBytes } = program;
  return {
    goal,
    chosen: { ...planned.plan },
    text: planText(planned.plan),
    estimatedInstructions: planned.instructions,
    arenaBytes,
    lowerBoundBytes,
    gapPercent: (100 * Math.max(0, arenaBytes - lowerBoundBytes)) / Math.max(1, lowerBoundBytes),
    front: planned.front.map(({ plan, arenaBytes: bytes, instructions }) => ({
      plan: { ...plan },
      text: planText(plan),
      arenaBytes: bytes,
      instructions,
      isChosen: bytes === planned.arenaBytes && instructions === planned.instructions,
    })),
  };
}

/** Rows of the word table: the tokens left after those that no text can reach. */
function storedVocabularySize(graph: Graph<'legal'>): number {
  const node = graph.nodes.find(
    ({ op, attrs }) => opOf(op).table !== undefined && 'index' in attrs && attrs.index === 'token',
  );
  if (node === undefined) return 0;
  return opOf(node.op).table!.rows(node.inputs.map((name) => tensorOf(graph, name)));
}

const isFlash = ({ kind }: Pick<ReportRegion, 'kind'>): boolean =>
  kind === 'flash' || kind === 'nor';
const isRam = ({ kind }: Pick<ReportRegion, 'kind'>): boolean => kind === 'sram' || kind === 'tcm';

function predictedIn(
  regions: readonly ReportRegion[],
  matches: (region: ReportRegion) => boolean,
): number {
  return regions.filter(matches).reduce((sum, { predictedBytes }) => sum + predictedBytes, 0);
}

function capacityOf(
  regions: readonly ReportRegion[],
  matches: (region: ReportRegion) => boolean,
): number {
  return regions.filter(matches).reduce((sum, { capacityBytes }) => sum + capacityBytes, 0);
}

function regionsOf(
  { target, placement, constantSizes, program }: Compiled,
  firmware: Linked | null,
  arenaRegion: string,
): ReportRegion[] {
  return target.regions.map(({ name, kind, sizeBytes }) => {
    const constants = constantParts
      .filter((part) => placement[sectionNames[part]] === name)
      .reduce((sum, part) => sum + constantSizes[part], 0);
    return {
      name,
      kind,
      capacityBytes: sizeBytes,
      usedBytes: firmware?.image.regions.find((region) => region.name === name)?.usedBytes ?? null,
      predictedBytes:
        constants +
        (name === target.codeRegion ? codeReserveBytes : 0) +
        (name === target.dataRegion ? ramReserveBytes : 0) +
        (name === arenaRegion ? program.arenaBytes : 0),
    };
  });
}

function flashOf(
  { constantSizes }: Compiled,
  firmware: Linked | null,
  regions: readonly ReportRegion[],
): Report['flash'] {
  const capacityBytes = capacityOf(regions, isFlash);
  const { tokenizer, embedding, encoder, constraint } = constantSizes;
  if (firmware === null) {
    return {
      capacityBytes,
      usedBytes: null,
      codeBytes: null,
      tokenizerBytes: tokenizer,
      embeddingBytes: embedding,
      encoderBytes: encoder,
      ...(constraint > 0 ? { constraintBytes: constraint } : {}),
      otherBytes: null,
    };
  }
  const { image } = firmware;
  const section = (part: keyof typeof sectionNames): number =>
    image.sections[sectionNames[part]]?.sizeBytes ?? 0;
  const usedBytes = image.regions
    .filter(isFlash)
    .reduce((sum, region) => sum + region.usedBytes, 0);
  const parts = {
    codeBytes: image.codeBytes,
    tokenizerBytes: section('tokenizer'),
    embeddingBytes: section('embedding'),
    encoderBytes: section('encoder'),
    ...(constraint > 0 ? { constraintBytes: section('constraint') } : {}),
  };
  const named = Object.values(parts).reduce((sum, bytes) => sum + bytes, 0);
  return { capacityBytes, usedBytes, ...parts, otherBytes: usedBytes - named };
}

function sramOf(
  { program }: Compiled,
  firmware: Linked | null,
  regions: readonly ReportRegion[],
): Report['sram'] {
  const capacityBytes = capacityOf(regions, isRam);
  const peakAt = peakOf(program);
  if (firmware === null) {
    return {
      capacityBytes,
      peakBytes: null,
      arenaBytes: program.arenaBytes,
      staticBytes: null,
      stackBytes: null,
      peakAt,
    };
  }
  const { arenaBytes, staticBytes, stackBytes } = firmware.image;
  const peakBytes = arenaBytes + staticBytes + stackBytes;
  return { capacityBytes, peakBytes, arenaBytes, staticBytes, stackBytes, peakAt };
}

function estimatedFrom({ target }: Compiled): string {
  const { core } = target;
  const rate = core.cost.cyclesPerInstruction;
  return (
    `instructions of each kernel measured on an emulated ${core.name} (${core.cost.measuredBy}); ` +
    `${rate} ${rate === 1 ? 'cycle' : 'cycles'} an instruction is assumed, plus waits for flash; ` +
    'within 5 % of whole emulated inferences and 10 % of each layer of 0.2 % of it or more, not timed on a board'
  );
}

/** What layers take where they run. */
export interface LayerEstimate {
  readonly target: CostTarget;
  constantsOf(node: Node<'legal'>, kernel: Kernel): ConstantBytes;
  cyclesOf(instructions: number, constantBytesRead: number, constants: ConstantBytes): number;
}

function firmwareEstimate({ program, target, placement }: Compiled): LayerEstimate {
  return {
    target,
    constantsOf: (node, kernel) => constantBytes(program.graph, node, kernel),
    cyclesOf: (instructions, constantBytesRead, { embedding }) => {
      const part = embedding > 0 ? 'embedding' : 'encoder';
      const region = placement[sectionNames[part]] ?? target.codeRegion;
      const waits = waitCycles(constantBytesRead, region, target);
      return instructions * target.core.cost.cyclesPerInstruction + waits;
    },
  };
}

/** A layer a call, in the order in which they run. */
export function layersOf(
  { program, kernelOf }: Pick<CompiledProgram<AnyTarget>, 'program' | 'kernelOf'>,
  { target, constantsOf, cyclesOf }: LayerEstimate,
): ReportLayer[] {
  const { graph, maxTokens } = program;
  let call = -1;
  return program.segments.flatMap((segment) =>
    segment.calls.map((current): ReportLayer => {
      const { node, output } = current;
      call += 1;
      const rows = rowsOf(segment.rows, maxTokens);
      if (node === null) {
        return {
          name: output.buffer,
          op: 'copy',
          kernel: null,
          call,
          rows,
          columns: output.columns,
          ...{ macs: 0, weightBytes: 0, weightBytesRead: 0 },
          ...{ estimatedInstructions: 0, estimatedCycles: 0 },
        };
      }
      const kernel = kernelOf(graph, node);
      const constants = constantsOf(node, kernel);
      const { instructions, constantBytesRead, macs } = callCost(
        graph,
        { ...current, node },
        kernel.name,
        segment,
        maxTokens,
        { weightBytes: constants.encoder, bytesPerRow: rowBytesRead(graph, node) },
        target,
      );
      const cycles = cyclesOf(instructions, constantBytesRead, constants);
      return {
        name: node.name,
        op: node.op,
        kernel: kernel.name,
        call,
        rows: rowsOf(tensorOf(graph, node.output).shape[0], maxTokens),
        columns: output.columns,
        macs,
        weightBytes: constants.encoder + constants.embedding,
        weightBytesRead: constantBytesRead,
        estimatedInstructions: instructions,
        estimatedCycles: Math.round(cycles),
      };
    }),
  );
}

export interface ConstantBytes {
  readonly encoder: number;
  readonly embedding: number;
}

function constantBytes(graph: Graph<'legal'>, node: Node<'legal'>, kernel: Kernel): ConstantBytes {
  const constants = nodeConstants(graph, node, (_node, weights, rows, columns) =>
    packWeights(kernel, Int8Array.from(weights), rows, columns),
  );
  // A table that is a linear's weight counts as the linear's.
  const isOwn = ({ alignment }: ConstantArray) =>
    node.op !== 'weightRows' || alignment === undefined;
  const arrays = (constants?.arrays ?? []).filter(isOwn);
  const tables = arrays.filter(({ section }) => section === sectionMacros.embedding);
  const sum = (list: typeof arrays): number =>
    list.reduce((total, { data }) => total + data.byteLength, 0);
  return { encoder: sum(arrays) - sum(tables), embedding: sum(tables) };
}

export function segmentsOf({ segments, maxTokens }: Program): Report['segments'] {
  let firstCall = 0;
  return segments.map(({ name, rows: dim, tileRows, calls }) => {
    const rows = rowsOf(dim, maxTokens);
    const first = firstCall;
    firstCall += calls.length;
    return {
      name,
      rows,
      tileRows,
      tiles: Math.ceil(rows / tileRows),
      firstCall: first,
      lastCall: firstCall - 1,
    };
  });
}

export function callsOf(program: Program): Report['calls'] {
  return program.segments
    .flatMap((segment, index) => segment.calls.map((call) => ({ call, index })))
    .map(({ call, index }, position) => ({
      name: call.node?.name ?? call.output.buffer,
      op: call.node?.op ?? 'copy',
      segment: index,
      inputs: call.inputs.flatMap((slot) => (slot === null ? [] : [slot.buffer])),
      output: call.output.buffer,
      scratch: call.scratch,
      liveBytes: liveBytes(program, position),
    }));
}

export function buffersOf({ buffers }: Program): ReportBuffer[] {
  const groups = new Map<string, Buffer[]>();
  const groupOf = ({ name, sharesWith }: Buffer): string => sharesWith ?? name;
  for (const buffer of Object.values(buffers)) {
    const members = groups.get(groupOf(buffer)) ?? [];
    groups.set(groupOf(buffer), [...members, buffer]);
  }
  return Object.values(buffers).map((buffer) => {
    const members = groups.get(groupOf(buffer))!.toSorted((a, b) => a.firstCall - b.firstCall);
    const before = members[members.indexOf(buffer) - 1];
    const { name, kind, dtype, rows, columns, offset, sizeBytes, firstCall, lastCall } = buffer;
    return {
      ...{ name, kind, dtype, rows, columns, offset, sizeBytes },
      firstCall: Math.min(...members.map((member) => member.firstCall)),
      lastCall: Math.max(...members.map((member) => member.lastCall)),
      firstUse: firstCall,
      lastUse: lastCall,
      inPlaceOf: before?.name ?? null,
    };
  });
}
