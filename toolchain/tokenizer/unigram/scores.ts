/**
 * Scores of pieces as integers, for the best path is chosen in integers everywhere.
 *
 * SentencePiece's scores are float32, which are whole multiples of some power of two: in steps of it
 * nothing is rounded, sums are those of real numbers, and the library's (in float64) are too, so its
 * choices are ours, ties included. Scores of float64 are rounded to the finest step that fits: paths
 * whose scores are within a step a piece of each other may then change places.
 */

/** Steps of all scores and the unknown character's lie in so many bits. */
const scoreBits = 31;
const finestStep = 26;

/** What an unknown character costs beyond the worst piece (models/unigram/model.rs). */
const unknownPenalty = 10;

export interface IntegerScores {
  readonly scores: Int32Array;
  readonly unknownScore: number;
}

export function integerScores(scores: readonly number[]): IntegerScores {
  const worst = scores.reduce((least, score) => Math.min(least, score), Number.POSITIVE_INFINITY);
  const largest = scores.reduce(
    (most, score) => Math.max(most, Math.abs(score)),
    Math.abs(worst - unknownPenalty),
  );
  let exponent = 0;
  const fits = (steps: number): boolean => largest * 2 ** steps < 2 ** (scoreBits - 1);
  const isExact = (steps: number): boolean =>
    scores.every((score) => Number.isInteger(score * 2 ** steps));
  while (exponent < finestStep && fits(exponent + 1) && !isExact(exponent)) exponent++;
  const step = 2 ** exponent;
  return {
    scores: Int32Array.from(scores, (score) => Math.round(score * step)),
    unknownScore: Math.round((worst - unknownPenalty) * step),
  };
}
