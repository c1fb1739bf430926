/**
 * The names of what a pass makes of a part of a tensor or of a layer.
 *
 *     pooler.dense@first             the one row that is demanded
 *     layer.0.query#1                of the heads of part 1 of an attention
 *     layer.0.query.weight#0-3       the rows of heads 0 to 3
 *     decoder.weight@vocabulary      its rows in the device's order of tokens
 *
 * A part's name is the whole's, a mark, and which part. Names that come with a model have no mark
 * (`withoutMarks`), so the whole can be read off the name: what is known of it holds for its parts.
 */
const rowMark = '@';
const headMark = '#';
const anyMark = /[@#]/;

/** Of some rows of a tensor, or of its rows in another order. */
export function nameOfRows(whole: string, which: 'first' | 'last' | 'vocabulary'): string {
  return `${whole}${rowMark}${which}`;
}

/** Of what belongs to some heads of an attention. */
export function nameOfHeads(whole: string, which: number | string): string {
  return `${whole}${headMark}${which}`;
}

/** What the tensor or the layer was in the model as imported. */
export function wholeOf(name: string): string {
  return name.split(anyMark, 1)[0]!;
}

/** A name as it may come with a model. */
export function withoutMarks(name: string): string {
  return name.replaceAll(new RegExp(anyMark, 'g'), '_');
}

/** As words instead of the mark, for languages whose names have letters and digits only. */
export function headMarkAs(words: string, name: string): string {
  return name.replaceAll(headMark, words);
}
