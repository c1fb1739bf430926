/**
 * A Hugging Face folder (config.json, safetensors, tokenizer) to a float graph: encoders of the BERT
 * kind here (layers with bottlenecks in `mobilebert.ts`), ModernBERT in `modernbert.ts`, decoders in
 * `decoder.ts`.
 */
import { userError } from '../errors.ts';
import { graphBuilder } from '../ir/build.ts';
import { readCheckpoint } from './checkpoint.ts';
import { type Config, checkArchitecture, parseConfig } from './config.ts';
import { importDecoder } from './decoder.ts';
import { decoderFamilyOf } from './decoder-config.ts';
import { buildEncoder, type WeightedBuilder, weightedBuilder } from './encoder.ts';
import { familyOf, type HeadForm, kindOfHead, type ModelType } from './families.ts';
import { type ModelFiles, recordReads } from './files.ts';
import { answerLabels, labelsOf, poolingOf, scoresOf } from './head.ts';
import { buildMobileBert } from './mobilebert.ts';
import { parseBottlenecks } from './mobilebert-config.ts';
import { type ImportedModel, type ImportOptions, type Pooling, totalOf } from './model-card.ts';
import { importModernBert } from './modernbert.ts';
import { isModernBert } from './modernbert-config.ts';
import { readTokenizer } from './tokenizer-files.ts';
import { vocabularyRows } from './vocabulary.ts';
import { type WeightLoader, weightLoader } from './weights.ts';

export function importHuggingFace(
  modelFiles: ModelFiles,
  defaultName: string,
  options: ImportOptions = {},
): ImportedModel {
  const files = recordReads(modelFiles);
  // First of all: another model's tokenizer or weights would give a less telling error.
  const configFile = requireFile(files, 'config.json');
  const decoder = decoderFamilyOf(configFile);
  const name = options.name ?? defaultName;
  if (decoder !== null) return importDecoder(modelFiles, decoder, configFile, name, options);
  if (isModernBert(configFile)) return importModernBert(modelFiles, configFile, name, options);
  const config = parseConfig(configFile);
  const family = familyOf(config.model_type);
  const tokenizer = readTokenizer(files);
  const weights = weightLoader(readCheckpoint(files), family);
  const architecture = config.architectures?.[0] ?? inferArchitecture(config.model_type, weights);
  checkArchitecture(config.model_type, architecture);
  const form = family.heads[architecture]!;
  const bottlenecks = family.hasBottlenecks === true ? parseBottlenecks(configFile, config) : null;
  const notes: string[] = [];
  const vocabulary = vocabularyRows(config.vocab_size, 'config.json, vocab_size', tokenizer, notes);
  const builder = graphBuilder(name);
  const made = weightedBuilder(builder, weights);
  const encoded =
    bottlenecks === null
      ? buildEncoder(made, config, vocabulary)
      : buildMobileBert(made, config, bottlenecks, vocabulary);
  const hasPooler = bottlenecks?.hasPooler ?? true;
  const head = buildHead(made, config, { form, hasPooler }, encoded, () =>
    poolingOf(files, options, notes),
  );
  weights.finish(architecture);
  const parameters = weights.parameters();
  return {
    graph: builder.finish([head.output]),
    tokenizer,
    card: {
      name,
      kind: kindOfHead(form),
      labels: head.labels,
      scores: form.kind === 'answers' ? 'none' : scoresOf(config, head.labels),
      pooling: head.pooling,
      maxPositions: config.positions,
      parameters: totalOf(parameters),
      sha256: files.sha256(),
      vocabularySize: vocabulary,
    },
    parameters,
    notes,
  };
}

function requireFile(files: ModelFiles, name: string): Uint8Array {
  const bytes = files.read(name);
  if (bytes !== undefined) return bytes;
  throw userError({
    code: 'missing-file',
    message: `the model has no ${name}`,
    where: name,
    hint: `Put ${name} beside the weights, as transformers’ save_pretrained writes it.`,
  });
}

/** Old folders name no class; the head's tensors tell it. */
function inferArchitecture(type: ModelType, weights: WeightLoader): string {
  const { heads } = familyOf(type);
  const isThere = (name: string) => weights.has(`${name}.weight`);
  if (weights.has('cls.predictions.bias')) return 'BertForMaskedLM';
  const found = Object.entries(heads).find(([, head]) => {
    if (head.kind === 'embedding') return true;
    return isThere(head.output) && (head.kind !== 'classification' || isThere(head.dense));
  });
  return found?.[0] ?? '';
}

interface Head {
  readonly output: string;
  readonly labels: readonly string[] | null;
  readonly pooling: Pooling | null;
}

function buildHead(
  made: WeightedBuilder,
  config: Config,
  { form, hasPooler }: { readonly form: HeadForm; readonly hasPooler: boolean },
  x: string,
  pooling: () => Pooling,
): Head {
  const { builder, weights, linear } = made;
  const width = config.hidden_size;
  const classify = (rows: string, name: string): Head => {
    const labels = labelsOf(config, weights.rowsOf(`${name}.weight`));
    return { output: linear(name, rows, labels.length, width), labels, pooling: null };
  };
  switch (form.kind) {
    case 'classification': {
      const first = builder.node('selectRow', 'pooler.first', [x], { which: 'first' });
      if (!hasPooler) return classify(first, form.output);
      const dense = linear(form.dense, first, width, width);
      const { activation: kind } = form;
      const pooled = builder.node('activation', 'pooler.activation', [dense], { kind });
      return classify(pooled, form.output);
    }
    case 'token-classification':
      return classify(x, form.output);
    case 'answers': {
      const labels = answerLabels;
      return { output: linear(form.output, x, labels.length, width), labels, pooling: null };
    }
    case 'embedding': {
      const chosen = pooling();
      const output =
        chosen === 'cls'
          ? builder.node('selectRow', 'pooling', [x], { which: 'first' })
          : builder.node('meanRows', 'pooling', [x], {});
      return { output, labels: null, pooling: chosen };
    }
  }
}
