/** The benchmark's results as text. */
import { grouped } from '../../toolchain/report/numbers.ts';
import { byKind, layerErrors } from './layers.ts';
import type { Measured, Outcome } from './measure.ts';
import type { PlanChoice } from './options.ts';
import { type Goal, type Group, goalsOf, peersOf } from './peers.ts';

export interface Result extends Group {
  readonly choice: PlanChoice;
  readonly outcome: Outcome;
}

const widths = [31, 9, 7, 10, 7, 10, 8, 6] as const;

function line(cells: readonly string[]): string {
  return cells
    .map((cell, index) => (index === 0 ? cell.padEnd(widths[0]) : cell.padStart(widths[index]!)))
    .join('  ')
    .trimEnd();
}

export const heading = line([
  'model, core, tokens',
  'Minstr',
  'ratio',
  'arena B',
  'ratio',
  'RAM B',
  'M MACs',
  'factor',
]);

export const explanation =
  'Minstr: million instructions of one inference, tokenizer not included, exact under QEMU; no cycles.\n' +
  'Ratios of a peer: to the first plan of lm2mcu above it. RAM: arena, static data and the bound of the\n' +
  'stack, of the linked image. Factor: MACs by those with keys and values kept, nothing computed twice.';

export function choiceName({ goal, arenaBytes }: PlanChoice): string {
  return arenaBytes === null ? goal : `${goal}:${arenaBytes}`;
}

const million = (count: number): string => (count / 1e6).toFixed(count < 1e7 ? 2 : 1);
const times = (value: number): string => `${value.toFixed(2)}x`;

/** All plans of one network on one core, then goals and peers. */
export function groupLines(group: Group, results: readonly Result[]): readonly string[] {
  const measured = results.flatMap(({ outcome }) => (outcome.kind === 'measured' ? [outcome] : []));
  const first = measured[0];
  return [
    '',
    `BERT-${group.model}, ${group.core}, ${group.tokens} tokens`,
    ...results.map(ownLine),
    ...goalsOf(group).map((goal) => goalLine(goal, results)),
    ...peersOf(group).map(({ name, section, arenaBytes, instructions }) =>
      line([
        `  ${name} [${section}]`,
        instructions === null ? '–' : million(instructions),
        instructions === null || first === undefined
          ? ''
          : times(instructions / first.instructions),
        grouped(arenaBytes),
        first === undefined ? '' : times(arenaBytes / first.arenaBytes),
      ]),
    ),
  ];
}

function ownLine({ choice, outcome }: Result): string {
  const name = `  lm2mcu ${choiceName(choice)}`;
  if (outcome.kind === 'does-not-fit') {
    return line([name, `does not fit: the smallest plan needs ${grouped(outcome.neededBytes)} B`]);
  }
  const { instructions, arenaBytes, ramBytes, macs, macsFactor, plan } = outcome;
  const numbers = line([
    name,
    million(instructions),
    '',
    grouped(arenaBytes),
    '',
    grouped(ramBytes),
    million(macs),
    times(macsFactor),
  ]);
  return `${numbers}  ${plan}`;
}

function goalLine(goal: Goal, results: readonly Result[]): string {
  const wanted = [
    ...(goal.millions === undefined ? [] : [`${goal.millions} Minstr`]),
    ...(goal.arenaBytes === undefined ? [] : [`arena ${grouped(goal.arenaBytes)} B`]),
    ...(goal.macsFactor === undefined ? [] : [`${goal.macsFactor}x the MACs`]),
  ].join(', ');
  const reached = results.filter(
    ({ choice, outcome }) => outcome.kind === 'measured' && reaches(goal, choice, outcome),
  );
  const by = reached.map(({ choice }) => choiceName(choice)).join(', ');
  const on = goal.plan === undefined ? '' : `${goal.plan} `;
  const isTried = results.some(({ choice }) => (goal.plan ?? choice.goal) === choice.goal);
  const missed = isTried ? 'not reached by these plans' : 'not tried';
  return `  goal ${on}≤ ${wanted}: ${by === '' ? missed : `reached by ${by}`}`;
}

export function reaches(goal: Goal, { goal: plan }: PlanChoice, measured: Measured): boolean {
  return (
    (goal.plan ?? plan) === plan &&
    measured.instructions <= (goal.millions ?? Number.POSITIVE_INFINITY) * 1e6 &&
    measured.arenaBytes <= (goal.arenaBytes ?? Number.POSITIVE_INFINITY) &&
    measured.macsFactor <= (goal.macsFactor ?? Number.POSITIVE_INFINITY)
  );
}

/** Where the instructions of a build go, beside the estimate. */
export function layerLines({ choice, outcome, ...group }: Result): readonly string[] {
  if (outcome.kind !== 'measured' || outcome.layers === null) return [];
  const total = outcome.layers.reduce((sum, { instructions }) => sum + instructions, 0);
  const columns = [23, 6, 9, 9, 7, 9, 9, 7];
  const row = (cells: readonly string[]): string =>
    cells
      .map((cell, index) =>
        index === 0 ? cell.padEnd(columns[0]!) : cell.padStart(columns[index]!),
      )
      .join('  ')
      .trimEnd();
  const rows = byKind(outcome.layers).map((kind) =>
    row([
      `  ${kind.kind}`,
      String(kind.calls),
      (kind.macs / 1e6).toFixed(3),
      (kind.instructions / 1e6).toFixed(3),
      `${((100 * kind.instructions) / total).toFixed(1)} %`,
      kind.macs === 0 ? '' : (kind.instructions / kind.macs).toFixed(3),
      (kind.estimatedInstructions / 1e6).toFixed(3),
      signedPercent(kind.estimatedInstructions / kind.instructions - 1),
    ]),
  );
  const worst = layerErrors(outcome.layers)[0];
  return [
    '',
    row([`BERT-${group.model}, ${group.core}, ${group.tokens} tokens, ${choiceName(choice)}`]),
    row(['  kind', 'calls', 'M MACs', 'Minstr', 'share', '/MAC', 'estimate', 'error']),
    ...rows,
    row([
      '  all',
      String(outcome.layers.length),
      (outcome.macs / 1e6).toFixed(3),
      (total / 1e6).toFixed(3),
      '100 %',
      (total / outcome.macs).toFixed(3),
      (outcome.estimatedInstructions / 1e6).toFixed(3),
      signedPercent(outcome.estimatedInstructions / total - 1),
    ]),
    ...(worst === undefined
      ? []
      : [
          `  the estimate is farthest off, by ${signedPercent(worst.error)}, in ${worst.name} (${grouped(worst.instructions)} instructions)`,
        ]),
  ];
}

function signedPercent(share: number): string {
  return `${share < 0 ? '−' : '+'}${Math.abs(100 * share).toFixed(1)} %`;
}
