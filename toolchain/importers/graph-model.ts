/**
 * A model that came as a graph, in whichever format: its roles and outputs are found, the transformer
 * in it is recognized, and with the files beside it that makes an imported model.
 *
 * A graph is recognized twice: for a short sentence, which tells the number of positions, and for one
 * of all positions. Both must be the same model, so that nothing was taken for constant that
 * depends on the length.
 */
import { z } from 'zod';
import { userError } from '../errors.ts';
import { graphBuilder } from '../ir/build.ts';
import type { Affine } from '../ir/graph.ts';
import { parseJsonFile, type RecordedFiles } from './files.ts';
import { answerLabels, headFields, labelsOf, poolingOf, scoresOf } from './head.ts';
import {
  type ImportedModel,
  type ImportOptions,
  type ModelCard,
  type ModelKind,
  totalOf,
} from './model-card.ts';
import type { PrimitiveGraph } from './primitive/graph.ts';
import { emitSource } from './recognize/emit.ts';
import { fixedTokens, rolesOf } from './recognize/inputs.ts';
import { outline, sourcesOf } from './recognize/outline.ts';
import { type ModelOutput, outputOf } from './recognize/output.ts';
import { recognize } from './recognize/recognize.ts';
import { depthOf, type EmbeddingParts, type Source, type SourceOf } from './recognize/source.ts';
import { readTokenizer } from './tokenizer-files.ts';
import { vocabularyRows } from './vocabulary.ts';

export interface GraphModelRequest {
  readonly graph: PrimitiveGraph;
  /** The file, for messages. */
  readonly file: string;
  readonly name: string;
  readonly files: RecordedFiles;
  readonly options: ImportOptions;
  readonly notes: readonly string[];
}

export function importGraph(request: GraphModelRequest): ImportedModel {
  const { graph, files, options } = request;
  const notes = [...request.notes];
  const config = readConfig(files);
  const found = recognizeModel(graph, request.file, config);
  const tokenizer = readTokenizer(files);
  const head = headOf(found, config, request, notes);
  const embedding = embeddingOf(found.source, request.file);
  const rows = embedding.parts.word!.shape[0]!;
  const where = `${request.file}, ${embedding.name}`;
  const vocabulary = vocabularyRows(rows, where, tokenizer, notes);
  const builder = graphBuilder(request.name);
  const { output, parameters, nameOf } = emitSource(builder, head.source, {
    vocabulary,
    positions: found.maxPositions,
  });
  const built = builder.finish([output]);
  const { kind, labels, pooling } = head;
  const stored = new Map(
    [...found.stored].flatMap(([source, quant]) => {
      const name = nameOf(source);
      return name === undefined ? [] : [[name, quant] as const];
    }),
  );
  if (stored.size > 0) notes.push(`The scales of ${stored.size} int8 activations are kept.`);
  return {
    graph: built,
    stored,
    tokenizer,
    parameters,
    card: {
      name: options.name ?? request.name,
      kind,
      labels,
      scores: scoresOfHead(found, config, labels),
      pooling,
      maxPositions: found.maxPositions,
      parameters: totalOf(parameters),
      sha256: files.sha256(),
      vocabularySize: vocabulary,
    },
    notes,
  };
}

interface Found extends ModelOutput {
  readonly maxPositions: number;
  /** How a quantized model stores its activations. */
  readonly stored: ReadonlyMap<Source, Affine>;
}

const probeTokens = 5;

function recognizeModel(graph: PrimitiveGraph, file: string, config: Config): Found {
  const roles = rolesOf(graph, file);
  const fixed = fixedTokens(graph, roles);
  const recognizeAt = (tokens: number): Found => {
    const recognized = recognize(graph, { tokens, roles });
    const output = outputOf(graph, recognized, file, tokens);
    const position = positionsOf(output.source, file);
    const maxPositions =
      position === null
        ? Math.min(mostPositions, config.max_position_embeddings ?? mostPositions)
        : position.table.shape.at(-2)! - position.firstRow;
    return { ...output, maxPositions, stored: recognized.stored };
  };
  const first = recognizeAt(fixed ?? probeTokens);
  if (fixed !== undefined) return { ...first, maxPositions: Math.min(fixed, first.maxPositions) };
  const { maxPositions } = first;
  if (maxPositions <= probeTokens) return first;
  // Masks are computed for all pairs of tokens: longer ones are tried up to what is worth it.
  const second = recognizeAt(Math.min(maxPositions, longestProbe));
  if (outline(first.source, probeTokens) !== outline(second.source, probeTokens)) {
    throw userError({
      code: 'unsupported-model',
      message: 'the graph is another model for short texts than for long ones',
      where: file,
      hint: `It was read for ${probeTokens} and for ${Math.min(maxPositions, longestProbe)} tokens. Export the model with dynamic axes.`,
    });
  }
  // Short texts do not show how far a token sees.
  return second;
}

const longestProbe = 512;

/** Of a model without a table of positions. */
const mostPositions = 512;

/** The table that the words' positions are read from. */
function positionsOf(source: Source, file: string): EmbeddingParts['position'] {
  const words = embeddingOf(source, file);
  const sum = sourcesOf(source).find((one) => one.kind === 'embedSum');
  return words.parts.position ?? sum?.parts.position ?? null;
}

function embeddingOf(source: Source, file: string): SourceOf<'embed'> {
  const found = sourcesOf(source).find((one) => one.kind === 'embed');
  if (found?.parts.word) return found;
  throw userError({
    code: 'unsupported-model',
    message: 'no table is read by token ids: this is no text model',
    where: file,
    hint: 'Export the model with its token ids as input, not its embeddings.',
  });
}

const configSchema = z.object({
  ...headFields,
  architectures: z.array(z.string()).nullish(),
  max_position_embeddings: z.number().int().min(1).nullish(),
});
type Config = z.infer<typeof configSchema>;

function readConfig(files: RecordedFiles): Config {
  const bytes = files.read('config.json');
  return bytes === undefined ? {} : parseJsonFile(configSchema, bytes, 'config.json');
}

interface Head {
  readonly source: Source;
  readonly kind: ModelKind;
  readonly labels: readonly string[] | null;
  readonly pooling: ModelCard['pooling'];
}

/** By config.json, by the output's name, and by the shape: a product of one row is a classifier. */
function headOf(
  { source, name }: Found,
  config: Config,
  { files, options }: GraphModelRequest,
  notes: string[],
): Head {
  const kind = kindOf(source, name, config);
  if (kind !== 'embedding') {
    const isAnswers = /start.*end/i.test(name) && source.columns === answerLabels.length;
    const labels = isAnswers ? answerLabels : labelsOf(config, source.columns);
    return { source, kind, labels, pooling: null };
  }
  if (source.rows === 1) return { source, kind, labels: null, pooling: pooledBy(source) };
  const pooling = poolingOf(files, options, notes);
  const { columns } = source;
  const base = { x: source, rows: 1, columns, name: 'pooling', depth: depthOf(source) } as const;
  const pooled: Source =
    pooling === 'mean'
      ? { ...base, kind: 'meanRows' }
      : { ...base, kind: 'selectRow', which: 'first' };
  return { source: pooled, kind, labels: null, pooling };
}

function scoresOfHead(
  { finish }: Found,
  config: Config,
  labels: readonly string[] | null,
): ModelCard['scores'] {
  if (labels === answerLabels) return 'none';
  return finish === 'sigmoid' ? 'sigmoid' : scoresOf(config, labels);
}

function kindOf(source: Source, name: string, { architectures }: Config): ModelKind {
  const [architecture = ''] = architectures ?? [];
  if (/embedding|hidden|pooler|pooled/i.test(name)) return 'embedding';
  if (source.rows === 1) return source.kind === 'linear' ? 'classification' : 'embedding';
  const isHead = source.kind === 'linear' && !/Model$/.test(architecture);
  return isHead ? 'token-classification' : 'embedding';
}

function pooledBy(source: Source): ModelCard['pooling'] {
  if (source.kind === 'meanRows') return 'mean';
  return source.kind === 'selectRow' && source.which === 'first' ? 'cls' : null;
}
