/** A Hugging Face folder of a decoder (GPT-2, OPT, Llama) to a float graph. */
import { type Lm2mcuError, userError } from '../errors.ts';
import { graphBuilder } from '../ir/build.ts';
import { readCheckpoint } from './checkpoint.ts';
import { parseDecoderConfig } from './decoder-config.ts';
import { buildDecoder } from './decoder-layers.ts';
import { type DecoderWeights, decoderWeights, weightNames } from './decoder-weights.ts';
import type { DecoderFamily } from './families.ts';
import { type ModelFiles, recordReads } from './files.ts';
import { type ImportedModel, type ImportOptions, totalOf } from './model-card.ts';
import { ropeTable } from './rotary.ts';
import { readTokenizer } from './tokenizer-files.ts';
import { vocabularyRows } from './vocabulary.ts';
import { weightLoader } from './weights.ts';

export function importDecoder(
  modelFiles: ModelFiles,
  family: DecoderFamily,
  configFile: Uint8Array,
  name: string,
  { leastPositions = 0 }: ImportOptions,
): ImportedModel {
  const files = recordReads(modelFiles);
  files.read('config.json');
  const config = parseDecoderConfig(family, configFile);
  const tokenizer = readTokenizer(files);
  if (tokenizer.kind === 'unigram') throw noUnigram();
  const loader = weightLoader(readCheckpoint(files), weightNames[family]);
  const notes: string[] = [];
  const where = 'config.json, vocab_size';
  const vocabulary = vocabularyRows(config.vocabulary, where, tokenizer, notes);
  const builder = graphBuilder(name);
  const weights: DecoderWeights = decoderWeights(loader, config);
  const { ropeTheta: theta, layers } = config;
  const positions = Math.max(config.positions, leastPositions);
  const rope = theta === null ? null : ropeTable(theta, positions, layers[0]!.headWidth);
  const output = buildDecoder(builder, config, weights, vocabulary, rope);
  loader.finish(config.architecture);
  const parameters = loader.parameters();
  return {
    graph: builder.finish([output]),
    tokenizer,
    card: {
      name,
      kind: 'generation',
      labels: null,
      scores: 'none',
      pooling: null,
      maxPositions: config.positions,
      parameters: totalOf(parameters),
      sha256: files.sha256(),
      vocabularySize: vocabulary,
      endTokens: [...config.endTokens],
    },
    parameters,
    notes,
  };
}

/** What it writes would have to be spelled on the chip, which has only BPE's way of it. */
function noUnigram(): Lm2mcuError {
  return userError({
    code: 'unsupported-tokenizer',
    message: 'a model that generates text cannot have a Unigram tokenizer',
    where: 'tokenizer.json, model.type',
    hint: 'Train it with BPE: byte-level, or SentencePiece’s with byte fallback.',
  });
}
