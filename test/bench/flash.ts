/**
 * `npm run bench flash -- --runs 10000`: seeded runs of every protocol over a disturbed line, on a
 * clock of its own, and what came of them; and what 64 KiB take on a quiet line of 115,200 baud with
 * parity, 10,473 bytes a second. Ends with exit code 1 when a promise was broken.
 */
import { parseArgs } from 'node:util';
import { type BoardKind, boardKinds, largeImages, testBoard } from '../flasher/boards.ts';
import { type FaultRun, faultRun, faultsOf } from '../flasher/fault-run.ts';
import { virtualLine } from '../flasher/virtual-line.ts';

const { values } = parseArgs({
  options: {
    runs: { type: 'string', default: '1000' },
    protocol: { type: 'string', multiple: true, default: [...boardKinds] },
    seed: { type: 'string', default: '1' },
  },
});

const wouldStart: Readonly<Record<FaultRun['content'], string>> = {
  none: 'nothing would start',
  old: 'the old image is whole',
  new: 'the new image is whole',
  mixed: 'a mixture would start',
};

let broken = 0;
for (const kind of boardKinds.filter((one) => values.protocol.includes(one))) {
  broken += await bench(kind, Number(values.seed), Number(values.runs));
}
process.exitCode = broken === 0 ? 0 : 1;

async function bench(kind: BoardKind, firstSeed: number, runs: number): Promise<number> {
  console.log(`${kind}: ${await speedOf(kind)}`);
  const counts = new Map<string, number>();
  let wrong = 0;
  for (let seed = firstSeed; seed < firstSeed + runs; seed++) {
    const run = await faultRun(kind, faultsOf(seed));
    const name = describeOutcome(run);
    counts.set(name, (counts.get(name) ?? 0) + 1);
    if (run.broken === '') continue;
    wrong += 1;
    console.log(`  seed ${seed}: ${run.broken}`);
  }
  for (const [name, count] of [...counts].sort(([, a], [, b]) => b - a)) {
    console.log(`  ${String(count).padStart(6)}  ${name}`);
  }
  console.log(`  ${String(wrong).padStart(6)}  promises broken, of ${runs} runs`);
  return wrong;
}

async function speedOf(kind: BoardKind): Promise<string> {
  const board = testBoard(kind, 2, largeImages);
  const line = virtualLine();
  void board.serve(line.device);
  await board.flash(line.host, 'new');
  if (board.content() !== 'new') throw new Error('the board does not hold the image');
  const bytes = largeImages.new.length;
  const seconds = line.now() / 1000;
  return `${bytes} bytes in ${seconds.toFixed(1)} s, ${Math.round(bytes / seconds)} a second, verified`;
}

function describeOutcome({ outcome, content, neededReset }: FaultRun): string {
  if (outcome === 'verified') return outcome;
  return `${outcome}, ${wouldStart[content]}${neededReset ? ', reset by hand' : ''}`;
}
