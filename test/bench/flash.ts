/**
 * `npm run bench flash -- --runs 10000`: seeded runs of every protocol over a disturbed line, on a
 * clock of its own, and what came of them. Ends with exit code 1 when a promise was broken.
 */
import { parseArgs } from 'node:util';
import { type BoardKind, boardKinds } from '../flasher/boards.ts';
import { type FaultRun, faultRun, faultsOf } from '../flasher/fault-run.ts';
import { noFaults } from '../flasher/faulty-port.ts';

const { values } = parseArgs({
  options: {
    runs: { type: 'string', default: '1000' },
    protocol: { type: 'string', multiple: true, default: [...boardKinds] },
    seed: { type: 'string', default: '1' },
  },
});

let broken = 0;
for (const kind of boardKinds.filter((one) => values.protocol.includes(one))) {
  broken += await bench(kind, Number(values.seed), Number(values.runs));
}
process.exitCode = broken === 0 ? 0 : 1;

async function bench(kind: BoardKind, firstSeed: number, runs: number): Promise<number> {
  const quiet = await faultRun(kind, noFaults);
  const rate = Math.round(quiet.bytes / quiet.seconds);
  console.log(`${kind}: a quiet line takes ${quiet.bytes} bytes, ${rate} a second`);
  const counts = new Map<string, number>();
  let wrong = 0;
  for (let seed = firstSeed; seed < firstSeed + runs; seed++) {
    const run = await faultRun(kind, faultsOf(kind, seed));
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

const wouldStart: Readonly<Record<FaultRun['content'], string>> = {
  none: 'nothing would start',
  old: 'the old image is whole',
  new: 'the new image is whole',
  mixed: 'a mixture would start',
};

function describeOutcome({ outcome, content, neededReset }: FaultRun): string {
  if (outcome === 'verified') return outcome;
  return `${outcome}, ${wouldStart[content]}${neededReset ? ', reset by hand' : ''}`;
}
