/**
 * Instructions of one inference of examples/debian-sections on every emulated core, beside what
 * others need for the same network (peers.json: copied, not measured here).
 *
 * The input has exactly `tokens` tokens. Instructions are no cycles: compare like with like.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { buildFirmware } from '../../toolchain/build/firmware.ts';
import { openExecutor } from '../../toolchain/emulate/executor.ts';
import { packagePath } from '../../toolchain/package-root.ts';
import { compile } from '../../toolchain/pipeline.ts';
import { loadTarget } from '../../toolchain/targets.ts';

const boards = [
  { core: 'M4', board: 'mps2-an386', peerColumns: ['m4'] },
  { core: 'M7', board: 'mps2-an500', peerColumns: ['m7'] },
  { core: 'M33', board: 'mps2-an505', peerColumns: [] },
  { core: 'M55', board: 'mps3-an547', peerColumns: ['m55', 'm55Clang'] },
] as const;
const tokenCounts = [64, 128] as const;

interface Peers {
  readonly source: string;
  readonly figures: readonly {
    readonly tokens: number;
    readonly peer: string;
    readonly ramBytes: number;
    readonly [column: string]: number | string;
  }[];
}

await main();

async function main(): Promise<void> {
  const peers: Peers = JSON.parse(readFileSync(packagePath('test', 'bench', 'peers.json'), 'utf8'));
  console.log(`Peers: ${peers.source}\n`);
  console.log('core  tokens  what                          Minstr  ratio  arena B');
  for (const { core, board, peerColumns } of boards) {
    for (const tokens of tokenCounts) {
      const own = await measure(board, tokens);
      printRow(core, tokens, 'lm2mcu', own.inference / 1e6, null, own.arenaBytes);
      for (const figure of peers.figures.filter((one) => one.tokens === tokens)) {
        for (const column of peerColumns) {
          const value = Number(figure[column]);
          const name = column === 'm55Clang' ? `${figure.peer} (clang)` : figure.peer;
          printRow(core, tokens, name, value, value / (own.inference / 1e6), figure.ramBytes);
        }
      }
    }
  }
}

async function measure(board: string, tokens: number) {
  const target = loadTarget(board);
  const { program, graphBin, sources, placement } = compile({
    modelPath: packagePath('examples', 'debian-sections', 'model'),
    target,
    maxTokens: tokens,
    calibration: null, // the count does not depend on it
  });
  const outDir = mkdtempSync(join(tmpdir(), 'lm2mcu-bench-'));
  try {
    const { emulatorElfPath } = await buildFirmware({
      ...{ target, sources, placement, outDir },
      optimisation: 'O2',
    });
    const executor = await openExecutor('emulator', { graphBin, emulatorElfPath });
    const ids = Int32Array.from({ length: tokens }, (_, index) => 1000 + index);
    const { instructions } = await executor.runTokens({ ids, segmentStart: tokens });
    await executor.close();
    return { inference: instructions?.inference ?? Number.NaN, arenaBytes: program.arenaBytes };
  } finally {
    rmSync(outDir, { recursive: true });
  }
}

function printRow(
  core: string,
  tokens: number,
  what: string,
  millions: number,
  ratio: number | null,
  ramBytes: number,
): void {
  const cells = [
    core.padEnd(4),
    String(tokens).padStart(6),
    what.padEnd(28),
    millions.toFixed(1).padStart(7),
    (ratio === null ? '' : `${ratio.toFixed(2)}x`).padStart(6),
    ramBytes.toLocaleString('en-US').padStart(8),
  ];
  console.log(cells.join('  ').trimEnd());
}
