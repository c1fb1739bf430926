/**
 * Evolutionary search over the program of `program.ts`: it also finds the Pareto front on its way.
 *
 * A child is a random parent with one change; it joins the population and the worst leaves. What breaks
 * no limit is better than what breaks one; among those the objective decides, else by how much the
 * limits are broken (K. Deb, An efficient constraint handling method for genetic algorithms, 2000).
 * Half of the parents come from the front, so that small and fast decoders are searched for as well.
 */
import { seededRandom } from '../compress/random.ts';
import {
  type DesignProgram,
  excess,
  isPath,
  type Measures,
  measure,
  type Option,
} from './program.ts';

export interface Candidate {
  readonly chosen: readonly Option[];
  readonly measures: Measures;
  readonly excess: number;
}

export interface Evolved {
  readonly best: Candidate;
  /** No other has as much of the objective in as few bytes, as few cycles and as little RAM. */
  readonly front: readonly Candidate[];
  readonly evaluations: number;
}

export interface EvolveRequest {
  readonly program: DesignProgram;
  readonly seed: number;
  readonly evaluations: number;
  readonly progress?: (done: number, total: number) => void;
}

const populationSize = 256;
/** The front in three dimensions is kept this short. */
const longestFront = 400;

export function evolve(request: EvolveRequest): Evolved {
  const { program, seed, evaluations, progress } = request;
  const random = seededRandom(seed);
  const catalogue = catalogueOf(program);
  const judge = (chosen: readonly Option[]): Candidate => {
    const measures = measure(program, chosen);
    return { chosen, measures, excess: excess(measures, program.limits) };
  };
  const isBetter = (a: Candidate, b: Candidate): boolean =>
    a.excess !== b.excess
      ? a.excess < b.excess
      : a.measures[program.objective] > b.measures[program.objective];

  const population = Array.from({ length: populationSize }, () =>
    judge(randomDecoder(catalogue, program, random)),
  );
  const known = new Set(population.map(({ chosen }) => keyOf(chosen)));
  let front: Candidate[] = [];
  for (const candidate of population) front = joinFront(front, candidate, program);
  for (let done = 0; done < evaluations; done++) {
    const pool = front.length > 0 && random() < 0.5 ? front : population;
    const chosen = mutate(pick(pool, random).chosen, catalogue, program, random);
    const key = keyOf(chosen);
    if (known.has(key) || !isPath(chosen)) continue;
    known.add(key);
    const child = judge(chosen);
    front = joinFront(front, child, program);
    const worst = tournament(population, random, isBetter);
    if (isBetter(child, population[worst]!)) population[worst] = child;
    if (done % 1000 === 0) progress?.(done, evaluations);
  }
  const best = [...population, ...front].reduce((a, b) => (isBetter(b, a) ? b : a));
  return { best, front, evaluations };
}

/** Options by width. */
type Catalogue = ReadonlyMap<number, readonly Option[]>;

function catalogueOf({ options, space }: DesignProgram): Catalogue {
  return new Map(
    space.widths.map((width) => [width, options.filter(({ block }) => block.width === width)]),
  );
}

function keyOf(chosen: readonly Option[]): string {
  return chosen
    .map(({ block }) => `${block.width},${block.feedForward},${block.layers},${block.isShared}`)
    .join(';');
}

function pick<T>(list: readonly T[], random: () => number): T {
  return list[Math.floor(random() * list.length)]!;
}

function randomDecoder(
  catalogue: Catalogue,
  { space }: DesignProgram,
  random: () => number,
): readonly Option[] {
  const blocks = 1 + Math.floor(random() * space.mostBlocks);
  const widths = new Set(Array.from({ length: blocks }, () => pick(space.widths, random)));
  const chosen = inOrder([...widths].map((width) => pick(catalogue.get(width)!, random)));
  return isPath(chosen) ? chosen : chosen.slice(-1);
}

function inOrder(chosen: readonly Option[]): readonly Option[] {
  return chosen.toSorted((a, b) => a.block.width - b.block.width);
}

/** One block more, less, another, one step away, or of another width. */
function mutate(
  chosen: readonly Option[],
  catalogue: Catalogue,
  { space }: DesignProgram,
  random: () => number,
): readonly Option[] {
  const at = Math.floor(random() * chosen.length);
  const others = chosen.filter((_, index) => index !== at);
  const old = chosen[at]!.block;
  const isFree = (width: number): boolean => !others.some(({ block }) => block.width === width);
  const kind = Math.floor(random() * 5);
  if (kind === 0 && chosen.length < space.mostBlocks) {
    const width = pick(space.widths, random);
    if (chosen.some(({ block }) => block.width === width)) return chosen;
    return inOrder([...chosen, pick(catalogue.get(width)!, random)]);
  }
  if (kind === 1 && others.length > 0) return others;
  if (kind === 2) {
    const index = space.widths.indexOf(old.width) + (random() < 0.5 ? -1 : 1);
    const width = space.widths[index];
    if (width === undefined || !isFree(width)) return chosen;
    const ratio = old.feedForward / old.width;
    const alike = catalogue
      .get(width)!
      .find(
        ({ block }) =>
          block.layers === old.layers &&
          block.isShared === old.isShared &&
          block.feedForward === ratio * width,
      );
    return inOrder([...others, alike!]);
  }
  const options = catalogue.get(old.width)!;
  if (kind === 3) return inOrder([...others, pick(options, random)]);
  const near = options.filter(
    ({ block }) =>
      Math.abs(block.layers - old.layers) <= 1 &&
      Math.abs(block.feedForward - old.feedForward) <= old.width,
  );
  return inOrder([...others, pick(near, random)]);
}

/** The worst of a few. */
function tournament(
  population: readonly Candidate[],
  random: () => number,
  isBetter: (a: Candidate, b: Candidate) => boolean,
): number {
  const drawn = Array.from({ length: 4 }, () => Math.floor(random() * population.length));
  return drawn.reduce((a, b) => (isBetter(population[a]!, population[b]!) ? b : a));
}

function joinFront(
  front: Candidate[],
  candidate: Candidate,
  { objective }: DesignProgram,
): Candidate[] {
  if (candidate.excess > 0) return front;
  const covers = (a: Candidate, b: Candidate): boolean =>
    a.measures[objective] >= b.measures[objective] &&
    a.measures.flashBytes <= b.measures.flashBytes &&
    a.measures.cycles <= b.measures.cycles;
  if (front.some((one) => covers(one, candidate))) return front;
  const kept = front.filter((one) => !covers(candidate, one));
  kept.push(candidate);
  return kept.length <= longestFront ? kept : thin(kept, objective);
}

/** Every second by the objective; the ends stay. */
function thin(front: readonly Candidate[], objective: keyof Measures): Candidate[] {
  const sorted = front.toSorted((a, b) => a.measures[objective] - b.measures[objective]);
  return sorted.filter((_, index) => index % 2 === 0 || index === sorted.length - 1);
}
