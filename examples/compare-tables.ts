/**
 * What a word table of so many bytes a token does to a model's answers, method by method: plain
 * singular value decomposition, clustered low rank, codebooks. Nothing is trained, nothing else is
 * compressed, and the bytes are those of the whole table with its projections, entries and indexes.
 *
 *   node examples/compare-tables.ts <model> --fit train.jsonl --measure test.jsonl
 *     [--bytes 8,9.5,12] [--texts 2000] [--fit-texts 2000] [--max-tokens 128]
 *     [--rank 48] [--only codebooks,SVD]
 *
 * Sensitivities come from --fit-texts of the texts to fit to, occurrences from all of them. A model of
 * classes is told by its classes, a model of embeddings by its vectors' angles and neighbours.
 */
import { parseArgs } from 'node:util';
import { readExamples } from '../toolchain/cli/examples.ts';
import { classOf } from '../toolchain/cli/head.ts';
import {
  encodeWithTrained,
  type TrainedStages,
  trainStages,
} from '../toolchain/compress/codebooks.ts';
import { type CodedTable, decodeTable } from '../toolchain/compress/coded-table.ts';
import { encodeLowRank } from '../toolchain/compress/low-rank.ts';
import {
  accuracyDropInterval,
  lossOf,
  nearestTexts,
  networkOutputs,
} from '../toolchain/compress/measure.ts';
import { searchedGraph } from '../toolchain/compress/prepare.ts';
import { sample } from '../toolchain/compress/random.ts';
import { encodeRowTable } from '../toolchain/compress/row-codes.ts';
import { tokenOccurrences, wordWeights } from '../toolchain/compress/search.ts';
import { measureSensitivity } from '../toolchain/compress/sensitivity.ts';
import { tableBytes } from '../toolchain/compress/table-size.ts';
import { embeddingTables, type TokenText } from '../toolchain/compress/texts.ts';
import type { WeightedRows } from '../toolchain/compress/weighted-basis.ts';
import { importModel } from '../toolchain/importers/index.ts';
import { tensorOf } from '../toolchain/ir/graph.ts';
import { encode } from '../toolchain/tokenizer/encode.ts';

const { values: flags, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    fit: { type: 'string' },
    measure: { type: 'string' },
    bytes: { type: 'string', default: '8,9.5,12' },
    texts: { type: 'string', default: '2000' },
    'fit-texts': { type: 'string', default: '2000' },
    'max-tokens': { type: 'string', default: '128' },
    /** Columns that codebooks have; three eighths of the width, as in the search, if not given. */
    rank: { type: 'string' },
    /** Methods with one of these in their names. */
    only: { type: 'string', default: '' },
  },
});
const { fit, measure } = flags;
const model = positionals[0];
if (model === undefined || fit === undefined || measure === undefined) {
  throw new Error('Give a model, --fit texts.jsonl and --measure texts.jsonl.');
}
const imported = importModel(model);
const { card, tokenizer } = imported;
const isVector = card.kind === 'embedding';
const graph = searchedGraph(imported);
const classes = tensorOf(graph, graph.outputs[0]!).shape[1];
const tables = embeddingTables(graph);
const { word } = tables;

const maxTokens = Number(flags['max-tokens']);
const fitting = textsOf(fit);
const measuring = sample(textsOf(measure), Number(flags.texts), 7);
const quiet = async (): Promise<void> => {};

const sensitivity = await measureSensitivity(
  graph,
  tables,
  sample(fitting, Number(flags['fit-texts']), 2),
  quiet,
);
const weights = wordWeights(sensitivity.tokens, tokenOccurrences(fitting, word.rows));
const weighted: WeightedRows = { ...word, weights, metric: sensitivity.metric };
const plain: WeightedRows = {
  ...word,
  weights: new Float64Array(word.rows).fill(1),
  metric: Float64Array.from({ length: word.width ** 2 }, (_, at) =>
    at % (word.width + 1) === 0 ? 1 : 0,
  ),
};
const reference = await networkOutputs(graph, measuring, new Map(), quiet);
const neighbours = isVector ? nearestTexts(reference.rows, 10) : [];

print('method', 'B/token', isVector ? '1 - cosine' : 'KL', 'hidden cosine', ...lastColumns());
await show('int8 rows', () => encodeRowTable(word.rows, word.width, word.values, 8));
await show('int4 rows', () => encodeRowTable(word.rows, word.width, word.values, 4));
for (const bytesPerToken of flags.bytes.split(',').map(Number)) {
  const bytes = bytesPerToken * word.rows;
  const lowRank = (rows: WeightedRows, bits: 4 | 8, clusters: number) => () =>
    ofSize(bytes, (size) => encodeLowRank(rows, { bits, clusters, bytes: size }));
  await show('plain SVD, int8', lowRank(plain, 8, 1));
  await show('plain SVD, int4', lowRank(plain, 4, 1));
  await show('weighted low rank, int4', lowRank(weighted, 4, 1));
  await show('4 clusters of low rank, int8', lowRank(weighted, 8, 4));
  await show('4 clusters of low rank, int4', lowRank(weighted, 4, 4));
  await show('codebooks', () => {
    const trained = stagesFor(bytesPerToken);
    return ofSize(bytes, (codeBytes) =>
      encodeWithTrained(weighted, trained, { tiers: 4, codeBytes }),
    );
  });
}

/** As the search has them, in proportion to the width; enough stages for that many bytes. */
function stagesFor(bytesPerToken: number): TrainedStages {
  const stages = Math.max(8, Math.ceil(bytesPerToken * 0.75));
  const rank = Math.min(word.width, Number(flags.rank ?? Math.round(48 * (word.width / 128))));
  return trainStages(weighted, { rank, stages, refiningStages: stages });
}

/** What is beside the size that an encoder is told is taken off it. */
function ofSize(bytes: number, encodeWith: (size: number) => CodedTable): CodedTable {
  const first = encodeWith(bytes);
  return encodeWith(bytes - Math.max(0, tableBytes(first, () => true) - bytes));
}

async function show(name: string, make: () => CodedTable): Promise<void> {
  if (!flags.only.split(',').some((part) => name.includes(part))) return;
  const table = make();
  const replaced = new Map([[word.name, decodeTable(table)]]);
  const changed = await networkOutputs(graph, measuring, replaced, quiet);
  const loss = lossOf(reference, changed, measuring, isVector);
  const bytesPerToken = tableBytes(table, () => true) / word.rows;
  const interval = accuracyDropInterval(reference, changed, measuring);
  const points = (share: number): string => (100 * share).toFixed(2);
  print(
    ...[name, bytesPerToken.toFixed(2), loss.distance.toFixed(4), loss.hiddenCosine.toFixed(4)],
    `${points(loss.agreement)} %`,
    ...(isVector ? [`${points(sharedOfTen(changed.rows))} %`] : []),
    ...(interval === null || loss.accuracyDrop === null
      ? []
      : [points(loss.accuracyDrop), `${interval.map(points).join(' to ')}`]),
  );
}

function sharedOfTen(rows: readonly Float32Array[]): number {
  const shared = nearestTexts(rows, 10).map(
    (list, index) => list.filter((other) => neighbours[index]!.includes(other)).length,
  );
  return shared.reduce((sum, count) => sum + count, 0) / (10 * rows.length);
}

function lastColumns(): readonly string[] {
  return isVector
    ? ['same nearest', 'of ten nearest']
    : ['agreement', 'points lost', '95 % of resampled texts'];
}

function print(...cells: readonly string[]): void {
  const widths = [30, 8, 11, 14, 13, 14];
  console.log(
    cells
      .map((cell, index) => cell.padEnd(widths[index] ?? 0))
      .join(' ')
      .trimEnd(),
  );
}

function textsOf(path: string): readonly TokenText[] {
  return readExamples(path).examples.map((example) => {
    const { ids, segmentStart } = encode(tokenizer, example.text, example.textPair, maxTokens);
    return { ids, segmentStart, label: isVector ? null : classOf(example, card, classes) };
  });
}
