/** `tokenizer.json` of Hugging Face's tokenizers, where it describes a BPE tokenizer; the byte-level one is read here. */
import { addedTokenRules, checkFrame } from '../added-tokens.ts';
import { frameOf } from '../frame.ts';
import { changedTokens } from '../normalized-tokens.ts';
import { parseJson, unsupported } from '../special-tokens.ts';
import { tokenizeWhole } from './encode.ts';
import { type BpeJson, bpeSchema, mergesOf, modelProblems, vocabularyOf } from './json.ts';
import { normalFormOf } from './normalizer.ts';
import { splitRuleOf } from './pre-tokenizer.ts';
import { parseSentencePieceBpe } from './sentencepiece.ts';
import { type BpeTokenizer, byteAlphabet, tokenBytes } from './tokenizer.ts';

const file = 'tokenizer.json';

export function parseBpe(json: unknown): BpeTokenizer {
  const parsed = parseJson(bpeSchema, json, file);
  const { model, added_tokens } = parsed;
  if (model.byte_fallback) return parseSentencePieceBpe(parsed);
  const normalForm = normalFormOf(parsed.normalizer);
  const problems = modelProblems(
    parsed,
    normalForm === null ? () => false : changedTokens(normalForm),
    normalForm !== null,
  );
  if (problems.length > 0) throw unsupported(file, problems.join('; '));
  const idOf = new Map(Object.entries(model.vocab));
  const tokenizer: BpeTokenizer = {
    kind: 'bpe',
    vocabulary: vocabularyOf(parsed),
    byteIds: Int32Array.from(byteAlphabet, (char) => idOf.get(char) ?? -1),
    merges: mergesOf(parsed, idOf),
    normalForm,
    ...splitRuleOf(parsed.pre_tokenizer),
    frame: frameOf(parsed.post_processor),
    addedTokens: addedTokenRules(added_tokens),
  };
  checkBytes(tokenizer, model);
  checkFrame(tokenizer.frame, tokenizer.addedTokens);
  if (model.ignore_merges) checkMergesReach(tokenizer);
  return tokenizer;
}

function checkBytes({ byteIds, vocabulary }: BpeTokenizer, { unk_token }: BpeJson['model']): void {
  const missing = byteIds.indexOf(-1);
  if (missing >= 0 && unk_token != null) {
    throw unsupported(file, `no token is the byte ${missing}, which would be unknown`);
  }
  if (byteIds.every((id) => id < 0) || !vocabulary.some((token) => token !== '')) {
    throw unsupported(file, 'no token of it is a byte: its BPE is not byte-level');
  }
}

/** With `ignore_merges` a piece that is a token is that token: so it must be by its merges. */
function checkMergesReach(tokenizer: BpeTokenizer): void {
  const added = new Set(tokenizer.addedTokens.map(({ id }) => id));
  const unreached = tokenizer.vocabulary.findIndex((token, id) => {
    const bytes = token === '' || added.has(id) ? undefined : tokenBytes(token);
    if (bytes === undefined) return false;
    const ids = tokenizeWhole(tokenizer, Uint8Array.from(bytes));
    return ids.length !== 1 || ids[0] !== id;
  });
  if (unreached < 0) return;
  throw unsupported(
    file,
    `with ignore_merges, ${JSON.stringify(tokenizer.vocabulary[unreached])} is a token that its merges do not make`,
  );
}
