/** `lm2mcu inspect`: what is in a model, and what the compiler would make of it. */
import { formatBytes, Lm2mcuError, userError } from '../errors.ts';
import { type ImportedModel, importModel } from '../importers/index.ts';
import { type Graph, outputOf, type Stage, type Tensor, tensorOf } from '../ir/graph.ts';
import { macsOf } from '../ops/macs.ts';
import { usualMaxTokens } from '../passes/max-tokens.ts';
import { simplify } from '../pipeline.ts';
import { leastWork } from '../schedule/plan.ts';
import { type CompiledTokenizer, compileTokenizer } from '../tokenizer/compile.ts';
import { defineCommand } from './command.ts';
import { fitOf } from './inspect-fit.ts';
import { layerLines, layerSummary } from './layer-survey.ts';
import { alignColumns } from './targets.ts';

export const inspectCommand = defineCommand({
  usage: 'inspect <model>',
  summary: 'Show what is in a model, and what would be compiled',
  positionals: {
    model: {
      type: 'string',
      demandOption: true,
      describe:
        'A Hugging Face folder, an ONNX or TFLite file, a tfjs folder; or an Ethos-U stream: X.cms.bin, a payload, a TFLite file of Vela’s',
    },
  },
  options: {
    layers: { type: 'boolean', default: false, describe: 'Show every layer and what it becomes' },
  },
  examples: [
    ['lm2mcu inspect model.onnx --layers', 'What each layer of an exported graph becomes'],
    ['lm2mcu inspect examples/debian-sections/model --json', 'What is in it, for a program'],
  ],
  async run({ model, layers }) {
    const { inspectStream } = await import('./inspect-npu.ts');
    const stream = inspectStream(model);
    if (stream !== null) return stream;
    const imported = importOrExplain(model, layers);
    const tokenizer = compileTokenizer(imported.tokenizer);
    const inspection = inspect(imported, tokenizer);
    return { json: inspection, text: describe(inspection, layers) };
  },
});

/** A graph that is understood in part is refused with what its layers would become. */
function importOrExplain(model: string, showsLayers: boolean): ImportedModel {
  try {
    return importModel(model);
  } catch (error) {
    if (!(error instanceof Lm2mcuError) || error.details.layers === undefined) throw error;
    const { message, layers } = error.details;
    const lines = showsLayers ? layerLines(layers) : [layerSummary(layers)];
    throw userError({ ...error.details, message: [message, ...lines].join('\n    ') });
  }
}

const tokenCounts = [64, 128, 512] as const;

type Inspection = ReturnType<typeof inspect>;

function inspect({ graph, card, parameters, notes }: ImportedModel, tokenizer: CompiledTokenizer) {
  const simple = simplify(graph, tokenizer.idOrder, 'native');
  const compiled = leastWork(simple);
  const weightBytes = constantBytes(compiled);
  const embedding = tableBytes(compiled);
  const bytes = {
    embedding,
    encoder: weightBytes - embedding,
    tokenizer: tokenizer.sizeBytes.total,
  };
  return {
    name: card.name,
    kind: card.kind,
    labels: card.labels,
    scores: card.scores,
    sha256: card.sha256,
    architecture: architectureOf(graph, card.maxPositions),
    parameters: { total: card.parameters, ...parametersByPart(parameters) },
    vocabulary: {
      tokens: card.vocabularySize,
      compiledTokens: tokenizer.idOrder.length,
      compiledBytes: tokenizer.sizeBytes.total,
    },
    /** Matrices as 8-bit integers, a byte a weight; half a byte where they came in 4 bits. */
    weightBytes,
    fit: fitOf(simple, bytes, usualMaxTokens(card.maxPositions)),
    /** The user's layers, in order, and the ops they become. */
    layers: graph.nodes.map(({ name, op, output }) => {
      const [rows, columns] = tensorOf(graph, output).shape;
      return { name, op, rows, columns };
    }),
    macs: tokenCounts
      .map((tokens) => Math.min(tokens, card.maxPositions))
      .filter((tokens, index, all) => all.indexOf(tokens) === index)
      .map((tokens) => ({
        tokens,
        asImported: macsOf(graph, tokens),
        compiled: macsOf(compiled, tokens),
      })),
    notes,
  };
}

function architectureOf(graph: Graph<'float'>, maxPositions: number) {
  const attentions = graph.nodes.flatMap((node) =>
    node.op === 'attention' || node.op === 'causalAttention' ? [node] : [],
  );
  const activations = graph.nodes.flatMap((node) =>
    node.op === 'activation' || node.op === 'gatedProduct' ? [node] : [],
  );
  const widths = attentions.map((node) => tensorOf(graph, node.output).shape[1]);
  return {
    kind: attentions[0]?.op === 'causalAttention' ? 'decoder' : 'encoder',
    layers: attentions.length,
    width: widths[0] ?? null,
    /** Of each layer, where they differ. */
    widths: new Set(widths).size > 1 ? widths : null,
    heads: attentions[0]?.attrs.heads ?? null,
    localAttention: localAttentionOf(graph),
    feedForward: activations.map((node) => tensorOf(graph, node.output).shape[1])[0] ?? null,
    activation: activations[0]?.attrs.kind ?? null,
    maxPositions,
    outputs: outputOf(graph).shape[1],
  };
}

/** How many layers see only tokens near each, and how far they see; null: all layers see all tokens. */
function localAttentionOf(graph: Graph<'float'>) {
  const reaches = graph.nodes.flatMap((node) =>
    node.op === 'attention' && node.attrs.reach !== undefined ? [node.attrs.reach] : [],
  );
  return reaches.length === 0 ? null : { layers: reaches.length, reach: Math.max(...reaches) };
}

/** By the names of the user's layers: `embeddings`, `encoder.layer.0`, `pooler`, `classifier`. */
export function parametersByPart(
  parameters: ImportedModel['parameters'],
): Readonly<Record<string, number>> {
  const parts: Record<string, number> = {};
  for (const [name, count] of parameters) {
    const part = partOf(name);
    parts[part] = (parts[part] ?? 0) + count;
  }
  return parts;
}

/** Up to the layer's number; else the first word that is no wrapper of the whole model. */
function partOf(name: string): string {
  const layer = /^.*?\blayers?[._]\w*?\d+/.exec(name)?.[0];
  if (layer !== undefined) return layer;
  const words = name.split('.');
  return words.find((word) => !wrappers.has(word)) ?? words[0]!;
}

const wrappers = new Set(['model', 'bert', 'StatefulPartitionedCall']);

function tableBytes(graph: Graph<Stage>): number {
  const tables = graph.nodes.flatMap((node) =>
    node.op === 'lookupRows' ? [tensorOf(graph, node.inputs[1]!)] : [],
  );
  return tables.reduce((sum, tensor) => sum + bytesOf(tensor), 0);
}

function constantBytes(graph: Graph<Stage>): number {
  return Object.values(graph.tensors)
    .filter(({ role }) => role === 'constant')
    .reduce((sum, tensor) => sum + bytesOf(tensor), 0);
}

/** At a byte an element, or as few bits as it came in. */
function bytesOf({ dtype, shape }: Tensor): number {
  return Number(shape[0]) * (dtype === 'int4' ? Math.ceil(shape[1] / 2) : shape[1]);
}

function describe(inspection: Inspection, withLayers: boolean): string {
  const { name, kind, labels, architecture, parameters, vocabulary, macs, notes } = inspection;
  const count = (value: number) => value.toLocaleString('en-US');
  const { layers, width, widths, heads, feedForward, activation } = architecture;
  const { kind: stack, maxPositions, outputs, localAttention: local } = architecture;
  const work = macs.map(({ tokens, asImported, compiled }) => [
    `  ${tokens} tokens`,
    `${count(asImported)} MAC as imported`,
    `${count(compiled)} as compiled (${Math.round(100 * (1 - compiled / asImported))} % less)`,
  ]);
  return [
    `model       ${name}: ${kind}, ${outputs} outputs`,
    ...(labels === null ? [] : [`labels      ${labels.join(', ')}`]),
    `${stack}     ${layers} layers of width ${widths?.join(', ') ?? width}, ${heads} heads, feed-forward ${feedForward} with ${activation}, ${maxPositions} positions`,
    ...(local === null
      ? []
      : [`local       ${local.layers} of the layers see ${local.reach} tokens to each side`]),
    'parameters',
    alignColumns(Object.entries(parameters).map(([part, size]) => [`  ${part}`, count(size)])),
    `vocabulary  ${count(vocabulary.tokens)} tokens; ${count(vocabulary.compiledTokens)} that texts can reach are compiled, in ${formatBytes(vocabulary.compiledBytes)}`,
    `weights     about ${formatBytes(inspection.weightBytes)}, at a byte each unless they are of 4 bits`,
    'work',
    alignColumns(work),
    ...describeFit(inspection.fit),
    ...(withLayers ? describeLayers(inspection) : []),
    ...notes.map((note) => `note        ${note}`),
  ].join('\n');
}

function describeFit({ tokens, arenaBytes, boards }: Inspection['fit']): string[] {
  const fitting = boards.filter(({ fits }) => fits).map(({ name }) => name);
  const others = boards.filter(({ fits }) => !fits);
  return [
    `boards      for ${tokens} tokens, with at least ${formatBytes(arenaBytes)} of RAM for activations`,
    alignColumns([
      ['  fits', fitting.length === 0 ? 'none' : fitting.join(', ')],
      ...others.map(({ name, short }) => [`  ${name}`, `too small (${short})`]),
    ]),
  ];
}

function describeLayers({ layers }: Inspection): string[] {
  const rows = layers.map(({ name, op, rows, columns }) => [
    `  ${name}`,
    op,
    `${rows} × ${columns}`,
  ]);
  return ['layers      yours, what each becomes, and its rows × columns', alignColumns(rows)];
}
