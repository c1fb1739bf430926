/**
 * Compiles a model for an emulated board and runs one inference there over exactly `tokens` tokens.
 * QEMU counts the instructions exactly; they are no cycles.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as z from 'zod';
import { buildFirmware } from '../../toolchain/build/firmware.ts';
import { idsLine } from '../../toolchain/emulate/executor.ts';
import { openQemuConsole } from '../../toolchain/emulate/qemu.ts';
import { Lm2mcuError } from '../../toolchain/errors.ts';
import type { Graph } from '../../toolchain/ir/graph.ts';
import { runPasses } from '../../toolchain/ir/rewrite.ts';
import { macsOf } from '../../toolchain/ops/macs.ts';
import { fuseLayerNorm } from '../../toolchain/passes/fuse-layer-norm.ts';
import { rowDemand } from '../../toolchain/passes/row-demand.ts';
import { type Compiled, compile } from '../../toolchain/pipeline.ts';
import { buildReport } from '../../toolchain/report/build.ts';
import type { Report, ReportLayer } from '../../toolchain/report/schema.ts';
import { ramReserveBytes } from '../../toolchain/schedule/placement.ts';
import { loadTarget, type Target } from '../../toolchain/targets.ts';
import type { PlanChoice } from './options.ts';
import { parseProfile, profiledSources } from './profile.ts';

export interface Request {
  readonly modelPath: string;
  readonly board: string;
  readonly tokens: number;
  readonly plan: PlanChoice;
  /** Also count the instructions of every call. */
  readonly layers: boolean;
}

export interface LayerCount {
  readonly layer: ReportLayer;
  readonly instructions: number;
}

export interface Measured {
  readonly plan: string;
  readonly instructions: number;
  readonly estimatedInstructions: number;
  readonly arenaBytes: number;
  /** Arena, static data and the bound of the stack, of the linked image. */
  readonly ramBytes: number;
  readonly macs: number;
  /** Of the macs when all keys and values are kept and nothing is computed twice. */
  readonly macsFactor: number;
  /** Null: not asked for. */
  readonly layers: readonly LayerCount[] | null;
}

export type Outcome =
  | ({ readonly kind: 'measured' } & Measured)
  | { readonly kind: 'does-not-fit'; readonly neededBytes: number };

export async function measure(request: Request): Promise<Outcome> {
  const { tokens, board, plan } = request;
  const target = withRoomFor(loadTarget(board), plan.arenaBytes);
  const compiled = compileOrSize(request, target);
  if ('neededBytes' in compiled) return { kind: 'does-not-fit', ...compiled };
  const { instructions, report } = await runOnce(compiled, tokens);
  const { plan: planned, sram, compute } = report;
  return {
    kind: 'measured',
    plan: planned.text,
    instructions,
    estimatedInstructions: compute.estimatedInstructions,
    arenaBytes: sram.arenaBytes,
    ramBytes: sram.peakBytes!,
    macs: compute.macs,
    macsFactor: compute.macs / macsOf(plainGraph(compiled), tokens),
    layers: request.layers ? await measureLayers(compiled, report) : null,
  };
}

/** What the network has to compute, in the plainest form. */
function plainGraph({ imported }: Compiled): Graph<'float'> {
  return runPasses(imported.graph, [fuseLayerNorm, rowDemand]);
}

/** The same board with more or less RAM; the emulated machine has enough of it. */
function withRoomFor(target: Target, arenaBytes: number | null): Target {
  if (arenaBytes === null) return target;
  const regions = target.regions.map((region) =>
    region.name === target.dataRegion
      ? { ...region, sizeBytes: arenaBytes + ramReserveBytes }
      : region,
  );
  return { ...target, regions };
}

function compileOrSize(
  { modelPath, tokens, plan }: Request,
  target: Target,
): Compiled | { readonly neededBytes: number } {
  try {
    return compile({
      modelPath,
      target,
      maxTokens: tokens,
      goal: plan.goal,
      calibration: [{ text: 'one text' }], // scales do not change the count
    });
  } catch (error) {
    if (!(error instanceof Lm2mcuError) || error.details.code !== 'does-not-fit') throw error;
    return { neededBytes: error.details.neededBytes ?? 0 };
  }
}

const answerSchema = z.object({ instructions: z.object({ inference: z.number() }) });

async function runOnce(
  compiled: Compiled,
  tokens: number,
): Promise<{ readonly instructions: number; readonly report: Report }> {
  return inFolder(async (outDir) => {
    const { target, sources, placement } = compiled;
    const firmware = await buildFirmware({
      ...{ target, sources, placement, outDir },
      optimisation: 'O2',
    });
    const line = await askIds(target, firmware.emulatorElfPath!, tokens);
    const { instructions } = answerSchema.parse(JSON.parse(line));
    return { instructions: instructions.inference, report: buildReport(compiled, firmware) };
  });
}

/** Instructions of every layer on the emulated core, from a firmware with marks between its calls. */
export async function measureLayers(
  compiled: Compiled,
  { layers }: Pick<Report, 'layers'>,
): Promise<readonly LayerCount[]> {
  return inFolder(async (outDir) => {
    const { target: planned, placement, sources, program } = compiled;
    const target = withRoomFor(planned, program.arenaBytes + profileBytes);
    const firmware = await buildFirmware({
      ...{ target, placement, outDir },
      sources: profiledSources(sources, layers.length),
      optimisation: 'O2',
    });
    const line = await askIds(target, firmware.emulatorElfPath!, program.maxTokens);
    const counts = parseProfile(line);
    return layers.map((layer, index) => ({ layer, instructions: counts[index]! }));
  });
}

/** What the marks keep in RAM, generously. */
const profileBytes = 64 * 1024;

/** The first line of the answer to as many tokens. */
async function askIds(target: Target, elfPath: string, tokens: number): Promise<string> {
  const console = await openQemuConsole({ target, elfPath });
  try {
    const ids = Int32Array.from({ length: tokens }, (_, index) => 1000 + index);
    return await console.ask(idsLine({ ids, segmentStart: tokens }));
  } finally {
    await console.close();
  }
}

async function inFolder<T>(action: (outDir: string) => Promise<T>): Promise<T> {
  const outDir = mkdtempSync(join(tmpdir(), 'lm2mcu-bench-'));
  try {
    return await action(outDir);
  } finally {
    rmSync(outDir, { recursive: true });
  }
}
