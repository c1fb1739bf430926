/** The tokenizer of a model: files beside its weights. */
import { z } from 'zod';
import { parseTokenizer, type Tokenizer } from '../tokenizer/parse.ts';
import { checkTextSize, type ModelFiles, parseJsonFile } from './files.ts';

export function readTokenizer(files: ModelFiles): Tokenizer {
  const json = (name: string): unknown => {
    const bytes = files.read(name);
    return bytes === undefined ? undefined : parseJsonFile(z.unknown(), bytes, name);
  };
  const vocabTxt = files.read('vocab.txt');
  if (vocabTxt !== undefined) checkTextSize(vocabTxt, 'vocab.txt');
  return parseTokenizer({
    vocabTxt,
    tokenizerConfig: json('tokenizer_config.json'),
    tokenizerJson: vocabTxt === undefined ? json('tokenizer.json') : undefined,
  });
}
