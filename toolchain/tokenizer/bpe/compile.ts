/**
 * A BPE tokenizer to constants for the device (`kernels/c/bpe.h`).
 *
 * Compact indexes: the bytes' tokens, then the merged ones in the order of their first merges, then
 * special tokens. So the merges alone say what a token is made of, and its text is stored nowhere.
 * Tokens that no text can reach are left out, and with them their rows of the embedding table.
 */
import { type CompiledSpecials, compileSpecials } from '../added-tokens.ts';
import { type CharacterClasses, compileClasses } from '../character-classes.ts';
import { type CompiledNormalForm, compileNormalForm } from '../compile-normal-form.ts';
import { framingTokens } from '../frame.ts';
import { byteLengths, type TokenizerBytes, tokenizerBytes } from '../sizes.ts';
import { checkTokenCount } from '../vocabulary-size.ts';
import { classOf } from './split.ts';
import { type BpeTokenizer, mergeColumns, windowTokens } from './tokenizer.ts';

export interface CompiledBpe extends CompiledSpecials {
  readonly kind: 'bpe';
  readonly classes: CharacterClasses;
  /** Compact index of each byte's token, or `noToken`. */
  readonly byteTokens: Uint16Array;
  /** Rows of two tokens; the first row that applies anywhere is merged first. */
  readonly merges: Uint16Array;
  /** The rows, sorted by their tokens. */
  readonly order: Uint16Array;
  /** What each row makes; null: row r makes token `firstMerged + r`. */
  readonly results: Uint16Array | null;
  /** A row that makes each merged token, then each part; null likewise. */
  readonly rowsOf: Uint16Array | null;
  readonly firstMerged: number;
  /** Behind the last merged token. */
  readonly mergedEnd: number;
  /** From there on are beginnings of characters, which are no tokens; `noToken`: there are none. */
  readonly firstPart: number;
  /** Compact indexes of the frame's `before`, `between` and `after`, one behind the other. */
  readonly frame: Uint16Array;
  /** Null: texts stay as they are. */
  readonly normalForm: CompiledNormalForm | null;
  readonly tokenizer: Pick<BpeTokenizer, 'split' | 'prefix' | 'marksSpaces' | 'frame'>;
  /** Vocabulary id of each compact index, by which the device counts; some ids have none. */
  readonly idOrder: Int32Array;
  readonly sizeBytes: TokenizerBytes;
}

/** No token, and no row; `kernels/c/bpe.h` has the same. */
export const noToken = 0xffff;

export function compileBpe(tokenizer: BpeTokenizer): CompiledBpe {
  const { byteIds, frame, addedTokens } = tokenizer;
  const bytes = [...new Set(byteIds)].filter((id) => id >= 0);
  const rows = reachableRows(tokenizer, bytes);
  const results = [...new Set(rows.map(([, , result]) => result))];
  const isPart = (id: number): boolean => id >= tokenizer.vocabulary.length;
  const merged = results.filter((id) => !isPart(id));
  const parts = results.filter(isPart);
  const framing = framingTokens(frame);
  const named = [...framing, ...addedTokens.map(({ id }) => id)];
  const idOrder = [...new Set([...bytes, ...merged, ...named])];
  checkTokenCount(Math.max(idOrder.length + parts.length, rows.length), 'bpe');
  const compactOf = new Map([...idOrder, ...parts].map((id, index) => [id, index]));
  const compact = (id: number): number => compactOf.get(id)!;
  const isPlain = merged.length === rows.length && parts.length === 0;
  const rowOf = new Map(rows.map(([, , result], row) => [result, row]).reverse() as Pairs);
  const arrays = {
    byteTokens: Uint16Array.from(byteIds, (id) => (id < 0 ? noToken : compact(id))),
    merges: Uint16Array.from(rows.flatMap(([left, right]) => [compact(left), compact(right)])),
    order: Uint16Array.from(
      rows
        .map(([left, right], row) => ({ left: compact(left), right: compact(right), row }))
        .sort((a, b) => a.left - b.left || a.right - b.right)
        .map(({ row }) => row),
    ),
    results: isPlain ? null : Uint16Array.from(rows, ([, , result]) => compact(result)),
    rowsOf: isPlain ? null : Uint16Array.from([...merged, ...parts], (id) => rowOf.get(id)!),
  };
  const classes = compileClasses((codePoint) => classOf(codePoint, tokenizer.split));
  const normalForm = tokenizer.normalForm && compileNormalForm(tokenizer.normalForm);
  const { specials, specialLead } = compileSpecials(addedTokens, compact);
  return {
    kind: 'bpe',
    classes,
    ...arrays,
    firstMerged: bytes.length,
    mergedEnd: bytes.length + merged.length,
    firstPart: parts.length > 0 ? idOrder.length : noToken,
    specials,
    specialLead,
    frame: Uint16Array.from(framing, compact),
    normalForm,
    tokenizer,
    idOrder: Int32Array.from(idOrder),
    sizeBytes: tokenizerBytes({
      vocabulary: byteLengths(Object.values(arrays)),
      characters: byteLengths(Object.values(classes)) + (normalForm?.sizeBytes ?? 0),
      specials: specials.length + 2 * framing.length,
    }),
  };
}

type Row = readonly [left: number, right: number, merged: number];
type Pairs = [number, number][];

/** Merges of tokens that bytes can become, the first of them first. */
function reachableRows({ merges }: BpeTokenizer, bytes: readonly number[]): readonly Row[] {
  const rows = Array.from({ length: merges.length / mergeColumns }, (_, row): Row => {
    const [left, right, merged] = merges.subarray(row * mergeColumns);
    return [left!, right!, merged!];
  });
  /** Bytes of each token; a token has as many whichever merge made it. */
  const lengths = new Map(bytes.map((id) => [id, 1]));
  // A merge may come before one that makes its parts.
  for (let found = -1; found < lengths.size; ) {
    found = lengths.size;
    for (const [left, right, merged] of rows) {
      const length = (lengths.get(left) ?? Number.NaN) + (lengths.get(right) ?? Number.NaN);
      if (length <= windowTokens) lengths.set(merged, length);
    }
  }
  return rows.filter(
    ([left, right, merged]) => lengths.has(left) && lengths.has(right) && lengths.has(merged),
  );
}
