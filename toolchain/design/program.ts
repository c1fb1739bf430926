/**
 * The design of a decoder as one mathematical program, which both solvers take.
 *
 * A decoder is a path through the widths, from narrow to wide. It takes one option at each width it
 * stops at (feed-forward width, number of layers, whether they share weights), a projection for each
 * step (none from a width above `widestProjected`), and the ends (tables, logits) for its first and last widths. Everything that is limited is a
 * sum over these, but for two: RAM beside the cache is a maximum, and depth to width a quotient.
 *
 *   maximize    Σ entropy            subject to
 *   flash       Σ flashBytes                ≤ flashBytes
 *   sram        Σ cacheBytes + max liveBytes ≤ sramBytes
 *   time        Σ cycles                    ≤ cycles
 *   parameters  Σ parameters                ≤ parameters
 *   depth       4 · layers / exp(Σ layers · ln width / layers) ≤ depthToWidth
 */
import { mostWideInputs } from '../ops/linear.ts';
import type { Architecture, Block } from './architecture.ts';
import type { Cost, DecoderCosts } from './costs.ts';
import { depthToWidth, layerEntropy, tokenTableEntropy } from './entropy.ts';

export const objectives = ['entropy', 'parameters'] as const;
export type Objective = (typeof objectives)[number];

/** What a decoder must keep to; infinite where there is no limit. */
export interface Limits {
  readonly flashBytes: number;
  readonly sramBytes: number;
  readonly cycles: number;
  readonly parameters: number;
  readonly depthToWidth: number;
}
export type LimitName = keyof Limits;

export interface Space {
  readonly widths: readonly number[];
  /** Columns of an attention head. */
  readonly headWidth: number;
  /** Feed-forward width by width. */
  readonly ratios: readonly number[];
  readonly mostBlocks: number;
  readonly mostLayersOfBlock: number;
  readonly sharing: boolean;
}

/**
 * Multiples of 32 suit every kernel's packing. Narrower than 64 the token table, of the first width,
 * would bound the logits to a rank that entropy does not count.
 */
export const defaultSpace: Space = {
  widths: Array.from({ length: 15 }, (_, index) => 32 * (index + 2)),
  headWidth: 32,
  ratios: [1, 1.5, 2, 3, 4],
  mostBlocks: 4,
  mostLayersOfBlock: 8,
  sharing: false,
};

/** A projection reads the residual stream, which is int16, in a kernel that has no room for more columns. */
export const widestProjected = mostWideInputs;

export interface Option extends Cost {
  readonly block: Block;
  readonly entropy: number;
}

/** Tables, last norm and logits. */
export interface Ends extends Cost {
  readonly entropy: number;
}

export interface DesignProgram {
  readonly vocabulary: number;
  readonly context: number;
  readonly space: Space;
  readonly options: readonly Option[];
  readonly limits: Limits;
  readonly objective: Objective;
  link(from: number, to: number): Cost;
  ends(first: number, last: number): Ends;
  /** Flash that every decoder takes. */
  readonly fixedFlashBytes: number;
}

export interface ProgramRequest {
  readonly vocabulary: number;
  readonly context: number;
  readonly space: Space;
  readonly costs: DecoderCosts;
  readonly limits: Limits;
  readonly objective: Objective;
  readonly fixedFlashBytes: number;
}

export function formulate(request: ProgramRequest): DesignProgram {
  const { costs, space, ...rest } = request;
  const { widths, headWidth, ratios, mostLayersOfBlock, sharing } = space;
  const blocks = widths.flatMap((width) =>
    ratios.flatMap((ratio) =>
      Array.from({ length: mostLayersOfBlock }, (_, index) => index + 1).flatMap((layers) =>
        (sharing && layers > 1 ? [false, true] : [false]).map((isShared) => ({
          ...{ width, heads: width / headWidth, feedForward: ratio * width, layers, isShared },
        })),
      ),
    ),
  );
  const memo = <T>(make: (a: number, b: number) => T) => {
    const known = new Map<number, T>();
    return (a: number, b: number): T => {
      const key = a * 2 ** 24 + b;
      const value = known.get(key) ?? make(a, b);
      known.set(key, value);
      return value;
    };
  };
  return {
    ...rest,
    space,
    options: blocks.map((block) => optionOf(block, costs)),
    link: memo((from, to) => costs.projection(from, to)),
    ends: memo((first, last) => endsOf(first, first, last, rest.vocabulary, costs)),
  };
}

function optionOf(block: Block, costs: DecoderCosts): Option {
  const { width, feedForward, layers } = block;
  return { ...costs.block(block), block, entropy: layers * layerEntropy(width, feedForward) };
}

function endsOf(
  embedding: number,
  first: number,
  last: number,
  vocabulary: number,
  costs: DecoderCosts,
): Ends {
  const entropy = tokenTableEntropy(embedding, vocabulary);
  return { ...costs.ends(embedding, first, last), entropy };
}

/** Whether there are projections for all its steps; options in the order of their widths. */
export function isPath(chosen: readonly Option[]): boolean {
  return chosen.slice(0, -1).every(({ block }) => block.width <= widestProjected);
}

/** What a decoder amounts to. */
export interface Measures extends Limits {
  readonly entropy: number;
  /** Without the token table. */
  readonly layerEntropy: number;
  readonly layers: number;
}

/** Of a decoder of the program's; its options in the order of their widths. */
export function measure(program: DesignProgram, chosen: readonly Option[]): Measures {
  const first = chosen[0]!.block.width;
  const last = chosen.at(-1)!.block.width;
  const links = chosen
    .slice(1)
    .map(({ block }, index) => program.link(chosen[index]!.block.width, block.width));
  return total(chosen, links, program.ends(first, last), program.fixedFlashBytes);
}

/** Of any decoder, also one outside the search space. */
export function measureArchitecture(
  { blocks, embedding, vocabulary }: Architecture,
  costs: DecoderCosts,
  fixedFlashBytes: number,
): Measures {
  const links = blocks
    .slice(1)
    .map(({ width }, index) => ({ from: blocks[index]!.width, to: width }))
    .filter(({ from, to }) => from !== to)
    .map(({ from, to }) => costs.projection(from, to));
  const [first, last] = [blocks[0]!.width, blocks.at(-1)!.width];
  const options = blocks.map((block) => optionOf(block, costs));
  const ends = endsOf(embedding, first, last, vocabulary, costs);
  return total(options, links, ends, fixedFlashBytes);
}

function total(
  chosen: readonly Option[],
  links: readonly Cost[],
  ends: Ends,
  fixedFlashBytes: number,
): Measures {
  const parts: readonly Cost[] = [...chosen, ...links, ends];
  const sum = (key: keyof Cost): number => parts.reduce((all, part) => all + part[key], 0);
  const layers = chosen.reduce((all, { block }) => all + block.layers, 0);
  const logWidths = chosen.reduce(
    (all, { block }) => all + block.layers * Math.log(block.width),
    0,
  );
  const ofLayers = chosen.reduce((all, { entropy }) => all + entropy, 0);
  return {
    entropy: ofLayers + ends.entropy,
    layerEntropy: ofLayers,
    layers,
    depthToWidth: depthToWidth(layers, logWidths),
    parameters: sum('parameters'),
    flashBytes: fixedFlashBytes + sum('flashBytes'),
    sramBytes: sum('cacheBytes') + Math.max(...parts.map(({ liveBytes }) => liveBytes)),
    cycles: sum('cycles'),
  };
}

export const limitNames = [
  'flashBytes',
  'sramBytes',
  'cycles',
  'parameters',
  'depthToWidth',
] as const satisfies readonly LimitName[];

/** By how much the limits are broken, as shares of them; 0: not at all. */
export function excess(measures: Measures, limits: Limits): number {
  return limitNames.reduce(
    (sum, name) => sum + Math.max(0, measures[name] / limits[name] - 1 - tolerance),
    0,
  );
}

/** Of a floating-point comparison. */
const tolerance = 1e-9;
