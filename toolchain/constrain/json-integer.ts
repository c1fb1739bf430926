/** The integers from one bound to another, digit by digit, as JSON writes them. */
import { choice, type Expression, nothing, repeat, sequence } from './expression.ts';

/** Fifteen digits: every double has as many. */
export const largestInteger = 999_999_999_999_999;

/** `text`: a literal; `origin`: where the bounds come from. Neither bound is above `largestInteger`. */
export function boundedInteger(
  least: number,
  most: number,
  text: (literal: string) => Expression,
  origin: string,
): Expression {
  const digits = (first: string, last: string): Expression => ({
    kind: 'character',
    set: [{ first: first.charCodeAt(0), last: last.charCodeAt(0) }],
    origin,
  });
  return choice([
    ...(least < 0 ? [sequence(text('-'), between(Math.max(1, -most), -least))] : []),
    ...(most >= 0 ? [between(Math.max(0, least), most)] : []),
  ]);

  function between(first: number, last: number): Expression {
    const lengths = [];
    for (let length = String(first).length; length <= String(last).length; length++) {
      const lowest = length === 1 ? 0 : 10 ** (length - 1);
      const highest = 10 ** length - 1;
      lengths.push(sameLength(String(Math.max(first, lowest)), String(Math.min(last, highest))));
    }
    return choice(lengths);
  }

  /** Of equally many digits, `first` not above `last`. */
  function sameLength(first: string, last: string): Expression {
    if (first === '') return nothing;
    const [low, high] = [first[0]!, last[0]!];
    const [lowRest, highRest] = [first.slice(1), last.slice(1)];
    const rest = first.length - 1;
    if (/^0*$/.test(lowRest) && /^9*$/.test(highRest)) {
      return sequence(digits(low, high), repeat(digits('0', '9'), rest, rest));
    }
    if (low === high) return sequence(digits(low, low), sameLength(lowRest, highRest));
    const [above, below] = [String(Number(low) + 1), String(Number(high) - 1)];
    return choice([
      sequence(digits(low, low), sameLength(lowRest, '9'.repeat(rest))),
      ...(above <= below
        ? [sequence(digits(above, below), repeat(digits('0', '9'), rest, rest))]
        : []),
      sequence(digits(high, high), sameLength('0'.repeat(rest), highRest)),
    ]);
  }
}
