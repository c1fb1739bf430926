/**
 * The search for a decoder's recipe: which of its matrices take four bits.
 *
 * 1. Moments of each linear's inputs on texts to fit to, by which GPTQ rounds (`gptq.ts`).
 * 2. Every matrix in four bits alone: how much the perplexity of other texts rises for the bytes saved.
 * 3. The cheapest of them together, then more and more, each time measured as a whole.
 *
 * A matrix that is also the word table stays as it is: its rows are embeddings, too.
 */
import { interpret, type Tokens } from '../emulate/interpreter.ts';
import { foresightOf } from '../generate/perplexity.ts';
import { type Graph, type Matrix, tensorOf } from '../ir/graph.ts';
import { opOf } from '../ops/index.ts';
import { everyRow } from '../passes/every-row.ts';
import {
  type Candidate,
  constantsOf,
  int4Candidate,
  type Linear,
  linearsOf,
} from './candidates.ts';
import type { InputMoments } from './gptq.ts';
import type { Steps } from './steps.ts';

export interface DecoderSearchRequest {
  /** As imported. */
  readonly graph: Graph<'float'>;
  /** Texts to fit to. */
  readonly fitting: readonly Tokens[];
  /** Texts to measure on. */
  readonly measuring: readonly Tokens[];
  readonly steps: Steps;
  /** Digest of everything that the results depend on. */
  readonly digest: string;
  readonly progress: (phase: string, done: number, total: number) => Promise<void>;
}

/** A matrix in four bits, all others as they were. */
export interface MatrixOption {
  readonly name: string;
  readonly savedBytes: number;
  /** Of the perplexity, as a share. */
  readonly rise: number;
}

export interface DecoderPoint {
  /** In four bits. */
  readonly matrices: readonly string[];
  readonly savedBytes: number;
  readonly perplexity: number;
  readonly rise: number;
}

export interface DecoderSearchResult {
  /** Of the float model. */
  readonly perplexity: number;
  /** The cheapest first: least rise for the bytes. */
  readonly options: readonly MatrixOption[];
  /** From no matrix to all. */
  readonly points: readonly DecoderPoint[];
  readonly candidatesOf: (point: DecoderPoint) => readonly Candidate[];
}

/** The moments of more texts round hardly better. */
const momentTexts = 64;
/** Each matrix alone is measured on the first of the texts. */
const optionTexts = 24;
/** Combinations that are measured as a whole. */
const mostPoints = 8;

export async function searchDecoder(request: DecoderSearchRequest): Promise<DecoderSearchResult> {
  const { graph, measuring, steps, digest, progress } = request;
  const linears = roundedLinears(graph);
  const moments = await steps.run('decoder moments', [digest], () =>
    measureMoments(graph, linears, request),
  );
  const candidates = new Map<string, Candidate>();
  for (const [index, linear] of linears.entries()) {
    await progress('rounding', index, linears.length);
    const made = await steps.run('decoder candidate', [digest, linear.name], () =>
      int4Candidate(graph, linear, inputMoments(graph, linear, moments)),
    );
    candidates.set(linear.name, made);
  }
  /** With these matrices in four bits. */
  const perplexityOf = (names: readonly string[], texts: readonly Tokens[]): Promise<number> =>
    steps.run('decoder perplexity', [digest, String(texts.length), ...names], () => {
      const changed = constantsOf(names.map((name) => candidates.get(name)!));
      return foresightOf(withConstants(graph, changed), texts).perplexity;
    });

  const few = measuring.slice(0, optionTexts);
  const before = await perplexityOf([], few);
  const measured: MatrixOption[] = [];
  for (const [index, { name, size }] of linears.entries()) {
    await progress('each matrix alone', index, linears.length);
    const rise = (await perplexityOf([name], few)) / before - 1;
    measured.push({ name, savedBytes: size - Math.ceil(size / 2), rise });
  }
  const options = measured.toSorted((a, b) => a.rise / a.savedBytes - b.rise / b.savedBytes);

  const perplexity = await perplexityOf([], measuring);
  const points: DecoderPoint[] = [{ matrices: [], savedBytes: 0, perplexity, rise: 0 }];
  const combinations = Math.min(mostPoints, options.length);
  for (let count = 1; count <= combinations; count++) {
    await progress('combinations', count - 1, combinations);
    const chosen = options.slice(0, Math.round((count * options.length) / combinations));
    const matrices = chosen.map(({ name }) => name);
    const changed = await perplexityOf(matrices, measuring);
    points.push({
      matrices,
      savedBytes: chosen.reduce((sum, { savedBytes }) => sum + savedBytes, 0),
      ...{ perplexity: changed, rise: changed / perplexity - 1 },
    });
  }
  return {
    perplexity,
    options,
    points,
    candidatesOf: ({ matrices }) => matrices.map((name) => candidates.get(name)!),
  };
}

/** The smallest image within `maxRise`; with a budget, of those that meet it the best. */
export function chooseDecoder(
  points: readonly DecoderPoint[],
  { maxRise, leastSaved }: { readonly maxRise: number; readonly leastSaved: number | null },
): DecoderPoint {
  const smallestFirst = points.toSorted((a, b) => b.savedBytes - a.savedBytes);
  if (leastSaved === null) return smallestFirst.find(({ rise }) => rise <= maxRise)!;
  const fitting = points.filter(({ savedBytes }) => savedBytes >= leastSaved);
  return fitting.toSorted((a, b) => a.rise - b.rise)[0] ?? smallestFirst[0]!;
}

/** Of which no weight is a table as well. */
function roundedLinears(graph: Graph<'float'>): readonly Linear[] {
  const tables = new Set(
    graph.nodes.flatMap(({ op, inputs }) => (opOf(op).table === undefined ? [] : inputs)),
  );
  return linearsOf(graph).filter(({ weight }) => !tables.has(weight));
}

/** A bias that several linears share cannot take up what one of them loses. */
function inputMoments(
  graph: Graph<'float'>,
  { input, bias }: Linear,
  moments: ReadonlyMap<string, InputMoments>,
): InputMoments {
  const own = moments.get(input)!;
  const readers = graph.nodes.filter(({ inputs }) => inputs.includes(bias)).length;
  return readers === 1 ? own : { ...own, sums: new Float64Array(own.sums.length) };
}

function withConstants(
  graph: Graph<'float'>,
  replaced: ReadonlyMap<string, Float32Array>,
): Graph<'float'> {
  const entries = Array.from(replaced, ([name, data]) => [
    name,
    { ...tensorOf(graph, name), data: data as Float32Array<ArrayBuffer> },
  ]);
  return { ...graph, tensors: { ...graph.tensors, ...Object.fromEntries(entries) } };
}

async function measureMoments(
  graph: Graph<'float'>,
  linears: readonly Linear[],
  { fitting, progress }: DecoderSearchRequest,
): Promise<ReadonlyMap<string, InputMoments>> {
  const wanted = new Set(linears.map(({ input }) => input));
  const moments = new Map<string, InputMoments>();
  const texts = fitting.slice(0, momentTexts);
  const whole = everyRow(graph);
  for (const [index, text] of texts.entries()) {
    await progress('moments of the inputs', index, texts.length);
    interpret(whole, text, ({ output }, _inputs, out) => {
      if (wanted.has(output)) moments.set(output, addMoments(moments.get(output), out));
    });
  }
  return moments;
}

/** `before` grows in place. */
function addMoments(
  before: InputMoments | undefined,
  { data, rows, columns }: Matrix,
): InputMoments {
  const sums = before?.sums ?? new Float64Array(columns);
  const products = before?.products ?? new Float64Array(columns * columns);
  for (let row = 0; row < rows; row++) {
    const values = data.subarray(row * columns, (row + 1) * columns);
    for (let i = 0; i < columns; i++) {
      const value = values[i]!;
      sums[i]! += value;
      for (let k = 0; k < columns; k++) products[i * columns + k]! += value * values[k]!;
    }
  }
  return { rows: (before?.rows ?? 0) + rows, sums, products };
}
