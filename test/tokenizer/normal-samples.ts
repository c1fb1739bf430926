/** Texts that tell normal forms apart: marks in wrong order, Hangul, what composes and what does not. */
import { canonicalParts, characterProperties } from '../../toolchain/tokenizer/normal-form.ts';
import { parseRanges } from '../../toolchain/tokenizer/packed.ts';
import { decomposedRanges } from '../../toolchain/tokenizer/unicode-tables.ts';

const decomposed = parseRanges(decomposedRanges);
const marks = [...characterProperties().ranks.keys()];
const pairs = [...characterProperties().composites.values()].map(canonicalParts);

type Random = (below: number) => number;

/** One or two characters. */
const kinds: readonly ((random: Random) => readonly number[])[] = [
  (random) => [marks[random(marks.length)]!],
  (random) => [marks[random(marks.length)]!, marks[random(marks.length)]!],
  (random) => [0x300 + random(0x70)],
  (random) => pairs[random(pairs.length)]!,
  (random) => [pairs[random(pairs.length)]![0]!],
  (random) => [decomposed[random(decomposed.length)]!],
  (random) => [0x1100 + random(0x100)],
  (random) => [0xac00 + random(11_172)],
  (random) => [0x61 + random(26)],
  (random) => [0x20 + random(0x5f), 0x20],
  (random) => [random(0x20)],
  (random) => {
    const codePoint = random(0x11_0000);
    return codePoint >= 0xd800 && codePoint <= 0xdfff ? [0x41] : [codePoint];
  },
];

/** One in 60 has more marks than any buffer. */
export function normalText(random: Random): string {
  const length = random(60) === 0 ? 200 + random(200) : random(10);
  const own = random(2) === 0 ? kinds : [kinds[random(kinds.length)]!, kinds[random(2)]!];
  const codePoints = Array.from({ length }, () => own[random(own.length)]!(random)).flat();
  return String.fromCodePoint(...codePoints);
}

const languages = [
  ...[
    'am',
    'ar',
    'as',
    'bn',
    'bo',
    'chr',
    'cs',
    'cy',
    'de',
    'dz',
    'el',
    'es',
    'fa',
    'fi',
    'fr',
    'ga',
  ],
  ...[
    'gu',
    'haw',
    'he',
    'hi',
    'hu',
    'hy',
    'ig',
    'is',
    'ja',
    'ka',
    'km',
    'kn',
    'ko',
    'lo',
    'lv',
    'ml',
  ],
  ...[
    'mn',
    'mr',
    'my',
    'ne',
    'or',
    'pa',
    'pl',
    'pt',
    'ro',
    'ru',
    'si',
    'sk',
    'ta',
    'te',
    'th',
    'ti',
  ],
  ...['tr', 'ug', 'uk', 'ur', 'vi', 'yi', 'yo', 'yue', 'zh'],
];

/** What languages are called in each of them, composed and taken apart: what people write. */
export function languageNames(): readonly string[] {
  return languages.flatMap((language) => {
    const names = new Intl.DisplayNames([language], { type: 'language' });
    const text = languages.map((other) => names.of(other)).join(', ');
    return [text.normalize('NFC'), text.normalize('NFD')];
  });
}

/** ModernBERT's added tokens, some of which are looked for in normalized text. */
export const modernBertTokens = [
  ...['<|padding|>', '[CLS]', '[SEP]', '[MASK]'].map((content) => ({
    ...{ content, normalized: false, special: true, lstrip: content === '[MASK]' },
  })),
  ...['|||IP_ADDRESS|||', '|||EMAIL_ADDRESS|||', '[unused0]', ' '.repeat(4), '   ', '  '].map(
    (content) => ({ content, normalized: true, special: false, lstrip: false }),
  ),
];

/** Texts with them, and with marks beside them. */
export function modernBertText(random: Random): string {
  const parts = [
    ...[...modernBertTokens.map(({ content }) => content), ' ', '|||', 'É', 'e\u0301', '\u0338'],
    ...['MAIL', '[unused', 'word', '\u2000', '\u00a0', '語'],
  ];
  return Array.from({ length: random(12) }, () => parts[random(parts.length)]!).join('');
}
