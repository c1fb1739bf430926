/**
 * `npm run bench mcu`: instructions and RAM of one inference on every emulated core, beside what
 * others need for the same network and what we want to reach.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { exitCodes, formatError, Lm2mcuError } from '../../toolchain/errors.ts';
import { layerErrors } from './layers.ts';
import { measure } from './measure.ts';
import { modelPath } from './models.ts';
import { boards, type Options, parseOptions } from './options.ts';
import { type Group, goalsOf, peers, peersOf } from './peers.ts';
import { explanation, groupLines, heading, layerLines, type Result } from './table.ts';

try {
  await main(parseOptions(process.argv.slice(2)));
} catch (error) {
  if (!(error instanceof Lm2mcuError)) throw error;
  console.error(formatError(error.details));
  process.exitCode = exitCodes[error.kind];
}

async function main(options: Options): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'lm2mcu-bench-models-'));
  const say = (lines: readonly string[]): void => {
    if (!options.json) console.log(lines.join('\n'));
  };
  const all: object[] = [];
  try {
    say([explanation, `Peers, not measured here: ${peers.source}`, '', heading]);
    for (const model of options.models) {
      const path = modelPath(model, folder);
      for (const core of options.cores) {
        for (const tokens of options.tokens) {
          const group = { model, core, tokens };
          const results = await measureGroup(group, path, options);
          say([...groupLines(group, results), ...results.flatMap(layerLines)]);
          all.push(...results.map(jsonOf));
        }
      }
    }
    if (options.json) console.log(JSON.stringify({ peers: peers.source, results: all }, null, 2));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

async function measureGroup(
  group: Group,
  path: string,
  { plans, layers }: Options,
): Promise<readonly Result[]> {
  const results: Result[] = [];
  for (const choice of plans) {
    const { core, tokens } = group;
    const request = { modelPath: path, board: boards[core], tokens, plan: choice, layers };
    results.push({ ...group, choice, outcome: await measure(request) });
  }
  return results;
}

function jsonOf({ choice, outcome, ...group }: Result): object {
  const { goal, arenaBytes: roomBytes } = choice;
  const common = { ...group, goal, roomBytes, ...outcome };
  return {
    ...common,
    ...(outcome.kind === 'measured' && outcome.layers !== null
      ? { layers: outcome.layers, layerErrors: layerErrors(outcome.layers) }
      : {}),
    goals: goalsOf(group),
    peers: peersOf(group),
  };
}
