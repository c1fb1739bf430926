/**
 * A BPE tokenizer to constants for the device (`kernels/c/bpe.h`).
 *
 * Compact indexes: the bytes' tokens, then the merged ones in the order of their first merges, then
 * special tokens. So the merges alone say what a token is made of, and its text is stored nowhere.
 * Tokens that no text can reach are left out, and with them their rows of the embedding table.
 */
import { userError } from '../../errors.ts';
import { classOf } from './split.ts';
import { type BpeTokenizer, mergeColumns, windowTokens } from './tokenizer.ts';

export interface CompiledBpe {
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
  /** A row that makes each merged token; null likewise. */
  readonly rowsOf: Uint16Array | null;
  readonly firstMerged: number;
  /** Behind the last merged token. */
  readonly mergedEnd: number;
  /** Texts to find before all else: length, flags, compact index (2 bytes), bytes; then 0. */
  readonly specials: Uint8Array;
  /** First bytes of the special texts: none is outside `min..max`. */
  readonly specialLead: { readonly min: number; readonly max: number };
  /** Compact indexes of the frame's `before`, `between` and `after`, one behind the other. */
  readonly frame: Uint16Array;
  readonly tokenizer: Pick<BpeTokenizer, 'split' | 'addPrefixSpace' | 'frame'>;
  /** Vocabulary id of each compact index, by which the device counts; some ids have none. */
  readonly idOrder: Int32Array;
  /** Bytes of the constants in flash; the code is not counted. */
  readonly sizeBytes: {
    readonly vocabulary: number;
    readonly characters: number;
    readonly specials: number;
    readonly total: number;
  };
}

/** Classes of characters in runs, for the device. */
export interface CharacterClasses {
  /** First run of each plane of 65,536 code points, and the end. */
  readonly planes: Uint16Array;
  /** Low 16 bits of the first code point of a run. */
  readonly runStarts: Uint16Array;
  readonly runClasses: Uint8Array;
}

/** No token, and no row; `kernels/c/bpe.h` has the same. */
export const noToken = 0xffff;

/** Bits of a special token's flags; `kernels/c/bpe.c` has the same. */
export const specialFlags = { stripsLeft: 1, stripsRight: 2, isSpecial: 4 } as const;

export function compileBpe(tokenizer: BpeTokenizer): CompiledBpe {
  const { byteIds, frame, addedTokens } = tokenizer;
  const bytes = [...new Set(byteIds)].filter((id) => id >= 0);
  const rows = reachableRows(tokenizer, bytes);
  const merged = [...new Set(rows.map(([, , result]) => result))];
  const framing = [...frame.before, ...frame.between, ...frame.after];
  const named = [...framing, ...addedTokens.map(({ id }) => id)];
  const idOrder = [...new Set([...bytes, ...merged, ...named])];
  if (idOrder.length > noToken || rows.length > noToken) throw tooLarge(idOrder.length);
  const compactOf = new Map(idOrder.map((id, index) => [id, index]));
  const compact = (id: number): number => compactOf.get(id)!;
  const isPlain = merged.length === rows.length;
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
    rowsOf: isPlain ? null : Uint16Array.from(merged, (id) => rowOf.get(id)!),
  };
  const classes = compileClasses(tokenizer);
  const { specials, specialLead } = compileSpecials(tokenizer, compact);
  const sizes = {
    vocabulary: byteLengths(Object.values(arrays)),
    characters: byteLengths(Object.values(classes)),
    specials: specials.length + 2 * framing.length,
  };
  return {
    kind: 'bpe',
    classes,
    ...arrays,
    firstMerged: bytes.length,
    mergedEnd: bytes.length + merged.length,
    specials,
    specialLead,
    frame: Uint16Array.from(framing, compact),
    tokenizer,
    idOrder: Int32Array.from(idOrder),
    sizeBytes: { ...sizes, total: sizes.vocabulary + sizes.characters + sizes.specials },
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

function compileClasses({ split }: BpeTokenizer): CharacterClasses {
  const planeCount = 17;
  const planeSize = 0x1_0000;
  const starts: number[] = [];
  const classes: number[] = [];
  const planes: number[] = [];
  for (let plane = 0; plane < planeCount; plane++) {
    planes.push(starts.length);
    for (let low = 0; low < planeSize; low++) {
      const one = classOf(plane * planeSize + low, split);
      if (low > 0 && one === classes.at(-1)) continue;
      starts.push(low);
      classes.push(one);
    }
  }
  planes.push(starts.length);
  return {
    planes: Uint16Array.from(planes),
    runStarts: Uint16Array.from(starts),
    runClasses: Uint8Array.from(classes),
  };
}

function compileSpecials({ addedTokens }: BpeTokenizer, compact: (id: number) => number) {
  const encoder = new TextEncoder();
  const texts = addedTokens
    .map((token) => ({ ...token, bytes: encoder.encode(token.text), index: compact(token.id) }))
    .sort((a, b) => b.bytes.length - a.bytes.length);
  const tooLong = texts.find(({ bytes }) => bytes.length > 0xff);
  if (tooLong !== undefined) {
    throw userError({
      code: 'special-token-too-long',
      message: `the special token ${JSON.stringify(`${tooLong.text.slice(0, 20)}…`)} has more than 255 bytes`,
      hint: 'Remove it from the tokenizer if no text contains it.',
    });
  }
  const leads = texts.map(({ bytes }) => bytes[0]!);
  const entries = texts.flatMap(({ bytes, index, stripsLeft, stripsRight, isSpecial }) => {
    const flags =
      (stripsLeft ? specialFlags.stripsLeft : 0) |
      (stripsRight ? specialFlags.stripsRight : 0) |
      (isSpecial ? specialFlags.isSpecial : 0);
    return [bytes.length, flags, index & 0xff, index >> 8, ...bytes];
  });
  return {
    specials: Uint8Array.from([...entries, 0]),
    // An empty range where there are no special texts.
    specialLead: { min: Math.min(0xff, ...leads), max: Math.max(0, ...leads) },
  };
}

function byteLengths(arrays: readonly ({ readonly byteLength: number } | null)[]): number {
  return arrays.reduce((sum, array) => sum + (array?.byteLength ?? 0), 0);
}

function tooLarge(tokens: number) {
  return userError({
    code: 'vocabulary-too-large',
    message: `the vocabulary has ${tokens.toLocaleString('en-US')} tokens that texts can reach, more than ${noToken.toLocaleString('en-US')}`,
    hint: 'Fine-tune a model with a smaller vocabulary, of one language.',
  });
}
