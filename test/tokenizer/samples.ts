/** Texts and vocabularies for the tokenizer's tests: made from a fixed seed, or the example's. */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { packagePath } from '../../toolchain/package-root.ts';
import { characterAction, markRank } from '../../toolchain/tokenizer/characters.ts';
import { parseTokenizer, type WordPieceTokenizer } from '../../toolchain/tokenizer/parse.ts';

/** `random(n)`: an integer in 0..n-1. Lehmer's generator with Park and Miller's constants. */
export function makeRandom(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (state * 48_271) % 0x7fff_ffff;
    return Math.floor((state / 0x7fff_ffff) * below);
  };
}

const example = packagePath('examples', 'debian-sections');
const corpusFile = `${example}/corpus.jsonl.xz`;
const vocabularyFile = `${example}/model/vocab.txt`;

/** The texts of the example, or undefined (said aloud) where its corpus is not there. */
export function corpusTexts(): readonly string[] | undefined {
  if (!existsSync(corpusFile)) {
    console.warn(`SKIPPED: ${corpusFile} is not there`);
    return undefined;
  }
  const lines = execFileSync('xz', ['-dc', corpusFile], { maxBuffer: 1 << 28 });
  const rows = lines.toString().trim().split('\n');
  return rows.map((row) => (JSON.parse(row) as { readonly text: string }).text);
}

/** The example's 30,522 tokens, or undefined (said aloud) where its model is not there. */
export function exampleTokenizer(): WordPieceTokenizer | undefined {
  if (existsSync(vocabularyFile)) return parseTokenizer({ vocabTxt: readFileSync(vocabularyFile) });
  console.warn(`SKIPPED: ${vocabularyFile} is not there`);
  return undefined;
}

export interface Settings {
  readonly do_lower_case: boolean;
  readonly strip_accents: boolean | null;
  readonly tokenize_chinese_chars: boolean;
}

/** Uncased, cased, and the two mixed forms. */
export const allSettings: readonly Settings[] = [
  { do_lower_case: true, strip_accents: null, tokenize_chinese_chars: true },
  { do_lower_case: false, strip_accents: null, tokenize_chinese_chars: true },
  { do_lower_case: true, strip_accents: false, tokenize_chinese_chars: false },
  { do_lower_case: false, strip_accents: true, tokenize_chinese_chars: false },
];

const lastCodePoint = 0x10ffff;

/**
 * A vocabulary in which most characters tell: all that any character becomes, all kept marks, all
 * below U+3000, and random pieces of words; about 40,000 tokens.
 */
export function richTokenizer(settings: Settings): WordPieceTokenizer {
  const chars = new Set<number>();
  const rules = parseTokenizer({ vocabTxt: encodeLines(specials), tokenizerConfig: settings });
  for (let codePoint = 0x21; codePoint <= lastCodePoint; codePoint++) {
    if (isSurrogate(codePoint)) continue;
    const action = characterAction(codePoint, rules);
    if (action.kind !== 'word' && action.kind !== 'isolated') continue;
    const changes = action.targets.length > 1 || action.targets[0] !== codePoint;
    const isHangul = codePoint >= 0xac00 && codePoint <= 0xd7a3;
    const isSampled = codePoint < 0x3000 || markRank(codePoint) > 0 || codePoint % 37 === 0;
    if (changes || (isSampled && !isHangul)) for (const target of action.targets) chars.add(target);
  }
  const letters = [...chars]
    .map((char) => String.fromCodePoint(char))
    .filter((c) => c.trim() !== '');
  const words = new Set<string>(specials);
  for (const letter of letters) words.add(letter);
  for (const letter of letters) if (letter.codePointAt(0)! < 0x3000) words.add(`##${letter}`);
  const random = makeRandom(1);
  for (let i = 0; i < 8000; i++) {
    const length = 2 + random(5);
    const word = Array.from({ length }, () => 'aeinorst'[random(8)]).join('');
    words.add(i % 3 === 0 ? word : `##${word}`);
  }
  return parseTokenizer({ vocabTxt: encodeLines([...words]), tokenizerConfig: settings });
}

const specials = ['[PAD]', '[UNK]', '[CLS]', '[SEP]', '[MASK]'];

export function encodeLines(lines: readonly string[]): Uint8Array {
  return new TextEncoder().encode(lines.map((line) => `${line}\n`).join(''));
}

function isSurrogate(codePoint: number): boolean {
  return codePoint >= 0xd800 && codePoint <= 0xdfff;
}

/** Every code point but the surrogates as `a?b` and alone, in texts of 512 of them. */
export function everyCharacter(): readonly string[] {
  const texts: string[] = [];
  let text = '';
  for (let codePoint = 0; codePoint <= lastCodePoint; codePoint++) {
    if (isSurrogate(codePoint)) continue;
    const char = String.fromCodePoint(codePoint);
    text += `a${char}b ${char} `;
    if (codePoint % 512 === 511) {
      texts.push(text);
      text = '';
    }
  }
  return texts;
}

/** First and last code points of what random texts are made of. */
const pools: readonly (readonly [number, number])[] = [
  [0x61, 0x7a],
  [0x61, 0x7a],
  [0x41, 0x5a],
  [0x21, 0x40],
  [0x20, 0x20],
  [0x00, 0x20],
  [0x7f, 0xff],
  [0x100, 0x24f],
  [0x300, 0x36f],
  [0x370, 0x52f],
  [0x590, 0x6ff],
  [0x900, 0xdff],
  [0xf40, 0xfbc],
  [0x1100, 0x11ff],
  [0x1b00, 0x1bff],
  [0x1e00, 0x1fff],
  [0x2000, 0x206f],
  [0x302a, 0x302f],
  [0x3400, 0x9fff],
  [0xac00, 0xd7a3],
  [0xf900, 0xffff],
  [0x1d150, 0x1d1c1],
  [0x1e000, 0x1e02f],
  [0x1e920, 0x1e94a],
  [0x20000, 0x2fa1f],
  [0, lastCodePoint],
];
/** Marks that are not stripped, so that their order shows. */
const keptMarks = [
  0x8d4, 0x1b44, 0x1baa, 0x302e, 0x302f, 0xa9c0, 0x1d165, 0x1d16d, 0x1e944, 0x1e94a,
];

export function randomText(random: (below: number) => number): string {
  const { length } = pools;
  const mixed = random(2) === 0 ? length : 1 + random(4);
  const own = Array.from({ length: mixed }, () => pools[random(length)]!);
  const parts = Array.from({ length: random(30) }, () => {
    const kind = random(40);
    if (kind === 0) return specials[random(specials.length)]!;
    if (kind === 1) return '[sep]';
    if (kind === 2) return 'ains'[random(4)]!.repeat(97 + random(6));
    if (kind === 3) return 'é한'[random(2)]!.repeat(30 + random(75));
    if (kind < 8) return String.fromCodePoint(keptMarks[random(keptMarks.length)]!);
    if (kind < 12) return Array.from({ length: random(9) }, () => 'aeinorst'[random(8)]).join('');
    const [first, last] = own[random(own.length)]!;
    const codePoint = first + random(last - first + 1);
    return isSurrogate(codePoint) ? ' ' : String.fromCodePoint(codePoint);
  });
  return parts.join('');
}
