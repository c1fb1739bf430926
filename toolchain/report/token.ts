/** What one more token takes of a model that generates: the run of one row, at the end of the longest text. */
import { sectionNames } from '../emit/c-constants.ts';
import { dtypes } from '../ir/dtypes.ts';
import { rowsHeld } from '../ops/cache.ts';
import { cacheText } from '../passes/cache-policy.ts';
import type { Compiled } from '../pipeline.ts';
import { callCost, oneRow } from '../schedule/cost.ts';
import type { Call, Program } from '../schedule/program.ts';
import type { LayerEstimate } from './build.ts';
import { rowBytesRead } from './row-reads.ts';
import type { Report } from './schema.ts';

export type TokenReport = NonNullable<Report['token']>;
type TokenLayer = TokenReport['layers'][number];

export function tokenOf(
  { program, kernelOf, placement, target, cache }: Compiled,
  { constantsOf, cyclesOf, target: costTarget }: LayerEstimate,
): TokenReport {
  const { graph, maxTokens } = program;
  const read = new Map<string, number>();
  const calls = program.segments.flatMap((segment) => segment.calls);
  const layers = calls.flatMap((call): TokenLayer[] => {
    const { node } = call;
    if (node === null) return [];
    const kernel = kernelOf(graph, node);
    const constants = constantsOf(node, kernel);
    const perRow = { weightBytes: constants.encoder, bytesPerRow: rowBytesRead(graph, node) };
    const cost = callCost(
      graph,
      { ...call, node },
      kernel.name,
      oneRow,
      maxTokens,
      perRow,
      costTarget,
    );
    const { instructions, constantBytesRead, macs } = cost;
    const part = sectionNames[constants.embedding > 0 ? 'embedding' : 'encoder'];
    const region = placement[part] ?? target.codeRegion;
    read.set(region, (read.get(region) ?? 0) + constantBytesRead);
    return [
      {
        ...{ name: node.name, op: node.op, macs, weightBytesRead: constantBytesRead },
        ...cacheOf(program, call),
        estimatedInstructions: instructions,
        estimatedCycles: Math.round(cyclesOf(instructions, constantBytesRead, constants)),
      },
    ];
  });
  const sum = (pick: (layer: TokenLayer) => number): number =>
    layers.reduce((total, layer) => total + pick(layer), 0);
  return {
    position: maxTokens,
    cache: cacheText(cache),
    cacheBytes: sum((layer) => layer.cacheBytes),
    cacheBytesRead: sum((layer) => layer.cacheBytesRead),
    macs: sum((layer) => layer.macs),
    estimatedInstructions: sum((layer) => layer.estimatedInstructions),
    estimatedCycles: sum((layer) => layer.estimatedCycles),
    reads: target.regions.flatMap(({ name: region, kind }) => {
      const bytes = read.get(region) ?? 0;
      return bytes === 0 ? [] : [{ region, kind, bytes }];
    }),
    layers,
  };
}

/** State that the call reads: what is stored of it, and what of that has been written by then. */
function cacheOf(
  { buffers, maxTokens }: Program,
  { inputs, carry }: Call,
): Pick<TokenLayer, 'cacheBytes' | 'cacheBytesRead'> {
  const names = new Set([...inputs.map((slot) => slot?.buffer ?? null), carry]);
  const kept = Object.values(buffers).filter(
    ({ name, kind }) => kind === 'state' && names.has(name),
  );
  const total = (list: readonly number[]): number => list.reduce((sum, one) => sum + one, 0);
  return {
    cacheBytes: total(kept.map(({ sizeBytes }) => sizeBytes)),
    cacheBytesRead: total(
      kept.map(({ ring, columns, dtype, rows }) => {
        const held = rowsHeld(maxTokens - 1, ring ?? { rows });
        return held * columns * dtypes[dtype].bytes;
      }),
    ),
  };
}
