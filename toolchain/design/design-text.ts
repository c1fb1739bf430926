/** A design as text on a terminal. */
import { shapeText } from './architecture.ts';
import type { Design, Designed, Score } from './design.ts';
import { type Limits, limitNames, type Objective } from './program.ts';

export function designText(designed: Designed, objective: Objective): string {
  const { chosen, limits, solvers, fronts, mostParameters } = designed;
  const { evolution, exact, gap } = solvers;
  const proof = exact.isProven ? 'proven' : 'not proven, the time ran out';
  return [
    `Most ${objective} within the board's limits`,
    quantities(chosen, limits),
    '',
    'Solvers, of the same program',
    columns([
      ['evolution', number(evolution.value), `${number(evolution.evaluations)} decoders tried`],
      ['exact', number(exact.value), `at most ${number(exact.bound)} (${proof})`],
      ['gap', `${(100 * gap).toFixed(2)} %`, ''],
    ]),
    '',
    `${objective} against flash`,
    table(fronts.bytes, chosen, objective),
    '',
    `${objective} against speed`,
    table(fronts.speed, chosen, objective),
    '',
    'Baseline: the most parameters within the same limits',
    quantities(mostParameters, limits),
  ].join('\n');
}

export function scoreText(score: Score): string {
  const broken = limitNames.filter((name) => score.measures[name] > score.limits[name]);
  const fits = score.fits
    ? 'fits'
    : `does not fit: ${broken.map((name) => titles[name]).join(', ')}`;
  return [quantities(score, score.limits), `  ${fits}`].join('\n');
}

const titles: Readonly<Record<keyof Limits, string>> = {
  flashBytes: 'flash',
  sramBytes: 'SRAM',
  cycles: 'time',
  parameters: 'parameters',
  depthToWidth: 'depth to width',
};

/** Width × layers (feed-forward width), and what it takes of the limits. */
function quantities({ architecture, measures, tokensPerSecond }: Design, limits: Limits): string {
  const of = (value: number, limit: number, unit = ''): readonly [string, string] => [
    `${number(value)}${unit}`,
    Number.isFinite(limit) ? `of ${number(limit)}${unit}` : '',
  ];
  const asked = (tokensPerSecond * measures.cycles) / limits.cycles;
  return columns([
    ['decoder', shapeText(architecture.blocks), ''],
    ['entropy', `${number(measures.entropy)} bits`, ''],
    ['parameters', ...of(measures.parameters, limits.parameters)],
    ['flash', ...of(measures.flashBytes, limits.flashBytes, ' B')],
    ['SRAM', ...of(measures.sramBytes, limits.sramBytes, ' B')],
    [
      'speed',
      `${tokensPerSecond.toFixed(1)} tokens/s`,
      Number.isFinite(limits.cycles) ? `at least ${asked.toFixed(1)}` : '',
    ],
    ['depth to width', measures.depthToWidth.toFixed(3), `at most ${limits.depthToWidth}`],
  ]);
}

function table(front: readonly Design[], chosen: Design, objective: Objective): string {
  const shape = shapeText(chosen.architecture.blocks);
  return columns([
    ['', objective, 'parameters', 'flash', 'SRAM', 'tokens/s', 'decoder'],
    ...front.map(({ architecture, measures, tokensPerSecond }) => [
      shapeText(architecture.blocks) === shape ? '>' : '',
      number(measures[objective]),
      number(measures.parameters),
      `${number(measures.flashBytes)} B`,
      `${number(measures.sramBytes)} B`,
      tokensPerSecond.toFixed(1),
      shapeText(architecture.blocks),
    ]),
  ]);
}

function number(value: number): string {
  return Math.round(value).toLocaleString('en-US');
}

function columns(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  return rows
    .map((row) =>
      `  ${row.map((cell, column) => cell.padEnd(widths[column]!)).join('  ')}`.trimEnd(),
    )
    .join('\n');
}
