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
  const variables = variablesOf(program);
  const sums = sumsOf(program, variables);
  const limited = (Object.keys(sums) as (keyof typeof sums)[])
    .filter((name) => Number.isFinite(limits[name]))
    .map((name) => row(sums[name].terms, '<=', limits[name] - sums[name].fixed));
  const depth = Number.isFinite(limits.depthToWidth)
    ? depthRows(variables, limits.depthToWidth)
    : [];
  const rows = [
    ...pathRows(program, variables),
    ...liveRows(program, variables),
    ...limited,
    ...depth,
  ];
  const { x, steps, pairs, depths } = variables;
  const binaries = [
    ...x.map(({ name }) => name),
    ...steps.map(({ name }) => `z${name}`),
    ...pairs.map(({ name }) => `p${name}`),
    ...(depth.length > 0 ? depths.map((layers) => `y${layers}`) : []),
  ];
  return [
    'most' in goal ? 'Maximize' : 'Minimize',
    ` obj: ${sumText(objectiveOf(program, goal, variables, sums))}`,
    'Subject To',
    ...rows.map((text, index) => ` c${index}: ${text}`),
    'Binaries',
    ` ${binaries.join('\n ')}`,
    'End',
  ].join('\n');
}

interface Variables {
  readonly x: readonly { readonly option: Option; readonly name: string }[];
  /** Widths that a decoder can begin and end at; the same without those that are one. */
  readonly pairs: readonly Pair[];
  readonly steps: readonly Pair[];
  readonly depths: readonly number[];
}

interface Pair {
  readonly from: number;
  readonly to: number;
  readonly name: string;
}

function variablesOf({ options, space }: DesignProgram): Variables {
  const { widths, mostBlocks, mostLayersOfBlock } = space;
  const pairs = widths.flatMap((from) =>
    widths.filter((to) => to >= from).map((to) => ({ from, to, name: `${from}_${to}` })),
  );
  return {
    x: options.map((option, index) => ({ option, name: variableOf(index) })),
    pairs,
    steps: pairs.filter(({ from, to }) => from < to && from <= widestProjected),
    depths: Array.from({ length: mostBlocks * mostLayersOfBlock }, (_, index) => index + 1),
  };
}

function sumsOf(program: DesignProgram, { x, steps, pairs }: Variables) {
  const over = (key: 'parameters' | 'flashBytes' | 'cacheBytes' | 'cycles'): Term[] => [
    ...x.map(({ option, name }): Term => [option[key], name]),
    ...steps.map(({ from, to, name }): Term => [program.link(from, to)[key], `z${name}`]),
    ...pairs.map(({ from, to, name }): Term => [program.ends(from, to)[key], `p${name}`]),
  ];
  return {
    flashBytes: { terms: over('flashBytes'), fixed: program.fixedFlashBytes },
    sramBytes: { terms: [...over('cacheBytes'), [1, 'm'] as Term], fixed: 0 },
    cycles: { terms: over('cycles'), fixed: 0 },
    parameters: { terms: over('parameters'), fixed: 0 },
  };
}

function objectiveOf(
  program: DesignProgram,
  goal: Goal,
  { x, pairs }: Variables,
  sums: ReturnType<typeof sumsOf>,
): readonly Term[] {
  if ('least' in goal) return sums[goal.least].terms;
  if (goal.most === 'parameters') return sums.parameters.terms;
  return [
    ...x.map(({ option, name }): Term => [option.entropy, name]),
    ...pairs.map(({ from, to, name }): Term => [program.ends(from, to).entropy, `p${name}`]),
  ];
}

/** One path through the widths, with an option wherever it stops. */
function pathRows({ space }: DesignProgram, { x, pairs, steps }: Variables): readonly string[] {
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
  const begins = pairs.map(({ name }): Term => [1, `p${name}`]);
  const stops = x.map(({ name }): Term => [1, name]);
  return [
    row(begins, '=', 1),
    row(stops, '<=', space.mostBlocks),
    ...space.widths.flatMap((width) => [
      row([...into(width), ...at(width)], '=', 0),
      row([...outOf(width), ...at(width)], '=', 0),
    ]),
  ];
}

/** `m` is no less than any part's live bytes; of parts that exclude one another the sum is the largest one. */
function liveRows(program: DesignProgram, { x, pairs, steps }: Variables): readonly string[] {
  const ofWidths = program.space.widths.map((width) =>
    x
      .filter(({ option }) => option.block.width === width)
      .map(({ option, name }): Term => [-option.liveBytes, name]),
  );
  const ofEnds = pairs.map(
    ({ from, to, name }): Term => [-program.ends(from, to).liveBytes, `p${name}`],
  );
  const ofSteps = steps.map(({ from, to, name }) => [
    [-program.link(from, to).liveBytes, `z${name}`] as Term,
  ]);
  return [...ofWidths, ofEnds, ...ofSteps].map((terms) => row([[1, 'm'], ...terms], '>=', 0));
}

function depthRows({ x, depths }: Variables, depthToWidth: number): readonly string[] {
  const one = depths.map((layers): Term => [1, `y${layers}`]);
  const count = [
    ...x.map(({ option, name }): Term => [option.block.layers, name]),
    ...depths.map((layers): Term => [-layers, `y${layers}`]),
  ];
  const bound = [
    ...x.map(({ option: { block }, name }): Term => [block.layers * Math.log(block.width), name]),
    ...depths.map(
      (layers): Term => [
        -layers * Math.log((matricesInSeries * layers) / depthToWidth),
        `y${layers}`,
      ],
    ),
  ];
  return [row(one, '=', 1), row(count, '=', 0), row(bound, '>=', 0)];
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
