/**
 * The program of `program.ts` as a mixed-integer linear one.
 *
 * x: an option is taken. z: the path steps from one width to another. p: it begins at one width and ends
 * at another. y: the decoder has so many layers in all; with that known, the bound on depth to width is
 * linear: Σ layers · ln width ≥ layers · (ln(4 · layers) − ln bound). m: the largest live set.
 */
import { matricesInSeries } from './entropy.ts';
import {
  type DesignProgram,
  type LimitName,
  type Limits,
  type Objective,
  type Option,
  widestProjected,
} from './program.ts';

export type Goal =
  | { readonly most: Objective }
  | { readonly least: Exclude<LimitName, 'depthToWidth'> };

/** The variable that takes `options[index]`. */
export function variableOf(index: number): string {
  return `x${index}`;
}

/** A variable and its factor. */
type Term = readonly [factor: number, variable: string];

/** In the LP format that CPLEX introduced. */
export function linearProgram(program: DesignProgram, goal: Goal, limits: Limits): string {
  const { options, space } = program;
  const { widths } = space;
  const pairs = widths.flatMap((from) =>
    widths.filter((to) => to >= from).map((to) => ({ from, to, name: `${from}_${to}` })),
  );
  const steps = pairs.filter(({ from, to }) => from < to && from <= widestProjected);
  const x = options.map((option, index) => ({ option, name: variableOf(index) }));
  const sumOver = (key: 'parameters' | 'flashBytes' | 'cacheBytes' | 'cycles'): Term[] => [
    ...x.map(({ option, name }): Term => [option[key], name]),
    ...steps.map(({ from, to, name }): Term => [program.link(from, to)[key], `z${name}`]),
    ...pairs.map(({ from, to, name }): Term => [program.ends(from, to)[key], `p${name}`]),
  ];
  const entropy = [
    ...x.map(({ option, name }): Term => [option.entropy, name]),
    ...pairs.map(({ from, to, name }): Term => [program.ends(from, to).entropy, `p${name}`]),
  ];
  const sums = {
    flashBytes: { terms: sumOver('flashBytes'), fixed: program.fixedFlashBytes },
    sramBytes: { terms: [...sumOver('cacheBytes'), [1, 'm'] as Term], fixed: 0 },
    cycles: { terms: sumOver('cycles'), fixed: 0 },
    parameters: { terms: sumOver('parameters'), fixed: 0 },
  };

  const at = (width: number): Term[] =>
    x.filter(({ option }) => option.block.width === width).map(({ name }) => [-1, name]);
  const into = (width: number): Term[] => [
    ...pairs.filter(({ from }) => from === width).map(({ name }): Term => [1, `p${name}`]),
    ...steps.filter(({ to }) => to === width).map(({ name }): Term => [1, `z${name}`]),
  ];
  const outOf = (width: number): Term[] => [
    ...pairs.filter(({ to }) => to === width).map(({ name }): Term => [1, `p${name}`]),
    ...steps.filter(({ from }) => from === width).map(({ name }): Term => [1, `z${name}`]),
  ];
  const path = [
    row(
      pairs.map(({ name }): Term => [1, `p${name}`]),
      '=',
      1,
    ),
    row(
      x.map(({ name }): Term => [1, name]),
      '<=',
      space.mostBlocks,
    ),
    ...widths.flatMap((width) => [
      row([...into(width), ...at(width)], '=', 0),
      row([...outOf(width), ...at(width)], '=', 0),
    ]),
  ];

  // Of parts that exclude one another the sum is the largest one.
  const live = [
    ...widths.map((width) => x.filter(({ option }) => option.block.width === width)),
  ].map((ofWidth) => ofWidth.map(({ option, name }): Term => [-option.liveBytes, name]));
  const ofEnds = pairs.map(({ from, to, name }): Term => {
    return [-program.ends(from, to).liveBytes, `p${name}`];
  });
  const ofSteps = steps.map(({ from, to, name }) => {
    return [[-program.link(from, to).liveBytes, `z${name}`] as Term];
  });
  const largest = [...live, ofEnds, ...ofSteps].map((terms) => row([[1, 'm'], ...terms], '>=', 0));

  const limited = (Object.keys(sums) as (keyof typeof sums)[])
    .filter((name) => Number.isFinite(limits[name]))
    .map((name) => row(sums[name].terms, '<=', limits[name] - sums[name].fixed));

  const mostLayers = space.mostBlocks * space.mostLayersOfBlock;
  const depths = Array.from({ length: mostLayers }, (_, index) => index + 1);
  const layersOf = ({ option }: { option: Option }): number => option.block.layers;
  const depth = Number.isFinite(limits.depthToWidth)
    ? [
        row(
          depths.map((layers): Term => [1, `y${layers}`]),
          '=',
          1,
        ),
        row(
          [
            ...x.map((one): Term => [layersOf(one), one.name]),
            ...depths.map((layers): Term => [-layers, `y${layers}`]),
          ],
          '=',
          0,
        ),
        row(
          [
            ...x.map((one): Term => [layersOf(one) * Math.log(one.option.block.width), one.name]),
            ...depths.map(
              (layers): Term => [
                -layers * Math.log((matricesInSeries * layers) / limits.depthToWidth),
                `y${layers}`,
              ],
            ),
          ],
          '>=',
          0,
        ),
      ]
    : [];

  const maximized = 'most' in goal;
  const objective = maximized
    ? goal.most === 'entropy'
      ? entropy
      : sums.parameters.terms
    : sums[goal.least].terms;
  const binaries = [
    ...x.map(({ name }) => name),
    ...steps.map(({ name }) => `z${name}`),
    ...pairs.map(({ name }) => `p${name}`),
    ...(depth.length > 0 ? depths.map((layers) => `y${layers}`) : []),
  ];
  return [
    maximized ? 'Maximize' : 'Minimize',
    ` obj: ${sumText(objective)}`,
    'Subject To',
    ...[...path, ...largest, ...limited, ...depth].map((text, index) => ` c${index}: ${text}`),
    'Binaries',
    ` ${binaries.join('\n ')}`,
    'End',
  ].join('\n');
}

/** Scaled so that its largest factor is about 1: solvers like numbers of like size. */
function row(terms: readonly Term[], relation: '<=' | '>=' | '=', right: number): string {
  const scale = Math.max(...terms.map(([factor]) => Math.abs(factor)));
  const scaled = terms.map(([factor, name]): Term => [factor / scale, name]);
  return `${sumText(scaled)} ${relation} ${decimal(right / scale)}`;
}

function sumText(terms: readonly Term[]): string {
  return terms
    .filter(([factor]) => factor !== 0)
    .map(([factor, name]) => `${factor < 0 ? '-' : '+'} ${decimal(Math.abs(factor))} ${name}`)
    .join('\n  ');
}

/** Without an exponent, which some readers take for a name. */
function decimal(value: number): string {
  return value.toFixed(12);
}
