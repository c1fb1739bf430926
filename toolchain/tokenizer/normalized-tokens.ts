/**
 * Added tokens that the library looks for in normalized text: whether they are found in the raw text
 * just as well, so that looking there is the same.
 *
 * They are if nothing that is decomposed reaches into the token, and the token is changed neither by
 * itself nor by what stands beside it: its characters are starters that are not decomposed, the first
 * becomes one with nothing before it, the last with nothing behind it.
 */
import { type AddedTokenJson, isWhitespace, overlap } from './added-tokens.ts';
import {
  canonicalParts,
  characterProperties,
  composes,
  decomposition,
  isHangul,
  type NormalForm,
  rankOf,
  toNormalForm,
} from './normal-form.ts';
import { parseRanges } from './packed.ts';
import { decomposedRanges } from './unicode-tables.ts';

/** By token, whether it tells that it is looked for in text of this form. */
export function changedTokens(form: NormalForm): (token: AddedTokenJson) => boolean {
  const images = imagesOf(form);
  const decomposed = new Set(images.map(({ char }) => char.codePointAt(0)!));
  const pairs = composes(form) ? compositePairs() : [];
  const firsts = new Set(pairs.map(([first]) => first));
  const seconds = new Set(pairs.map(([, second]) => second));
  return ({ content, lstrip, rstrip }) => {
    const chars = Array.from(content, (char) => char.codePointAt(0)!);
    if (chars.some((char) => rankOf(char) > 0 || isHangul(char) || decomposed.has(char)))
      return true;
    if (toNormalForm(form, content) !== content) return true;
    if (seconds.has(chars[0]!) || firsts.has(chars.at(-1)!)) return true;
    const reachesIn = images.some(
      ({ image, chars: own }) =>
        (image === '' || own.some((char) => content.includes(char))) &&
        (overlap(image, content) || overlap(content, image)),
    );
    return reachesIn || ((lstrip || rstrip) && images.some(makesWhitespace));
  };
}

function compositePairs(): readonly (readonly number[])[] {
  return [...characterProperties().composites.values()].map(canonicalParts);
}

interface Image {
  readonly char: string;
  readonly image: string;
  /** Of the image. */
  readonly chars: readonly string[];
}

/** What is decomposed, and into what; no Hangul. */
function imagesOf(form: NormalForm): readonly Image[] {
  return parseRanges(decomposedRanges).flatMap((codePoint) => {
    const char = String.fromCodePoint(codePoint);
    const chars = decomposition(form, codePoint).map((part) => String.fromCodePoint(part));
    const image = chars.join('');
    return image === char ? [] : [{ char, image, chars }];
  });
}

/** White space that the library takes with a token, and that the raw text does not have. */
function makesWhitespace({ char, image, chars }: Image): boolean {
  return chars.some(isWhitespace) && !(isWhitespace(char) && image.length === 1);
}
