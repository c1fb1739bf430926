/**
 * Added tokens that the library looks for in normalized text: whether they are found in the raw text
 * just as well, so that looking there is the same.
 *
 * They are if nothing that is decomposed reaches into the token, and the token is changed neither by
 * itself nor by what stands beside it: its characters are starters, the first becomes one with nothing
 * before it, the last with nothing behind it.
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

/** Whether it tells that a token is looked for in text of this form. */
export function changesToken(form: NormalForm, token: AddedTokenJson): boolean {
  const { content, lstrip, rstrip } = token;
  const chars = Array.from(content, (char) => char.codePointAt(0)!);
  if (chars.some((char) => rankOf(char) > 0 || isHangul(char))) return true;
  if (toNormalForm(form, content) !== content) return true;
  if (composes(form) && (isSecond(chars[0]!) || isFirst(chars.at(-1)!))) return true;
  const images = imagesOf(form);
  const reachesIn = images.some(({ image }) => overlap(image, content) || overlap(content, image));
  return reachesIn || ((lstrip || rstrip) && images.some(makesWhitespace));
}

function isFirst(codePoint: number): boolean {
  return [...characterProperties().composites.values()].some(
    (composite) => canonicalParts(composite)[0] === codePoint,
  );
}

function isSecond(codePoint: number): boolean {
  return [...characterProperties().composites.values()].some(
    (composite) => canonicalParts(composite)[1] === codePoint,
  );
}

interface Image {
  readonly char: string;
  readonly image: string;
}

/** What is decomposed, and into what; no Hangul. */
function imagesOf(form: NormalForm): readonly Image[] {
  return parseRanges(decomposedRanges).flatMap((codePoint) => {
    const char = String.fromCodePoint(codePoint);
    const image = String.fromCodePoint(...decomposition(form, codePoint));
    return image === char ? [] : [{ char, image }];
  });
}

/** White space that the library takes with a token, and that the raw text does not have. */
function makesWhitespace({ char, image }: Image): boolean {
  return Array.from(image).some(isWhitespace) && !(isWhitespace(char) && image.length === 1);
}
