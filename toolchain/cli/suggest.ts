/** "Did you mean": the closest of the valid names, if one is close. */
import { closest, distance } from 'fastest-levenshtein';

/** `''`, or a sentence to put before the list of valid names. */
export function didYouMean(wrong: string, valid: readonly string[]): string {
  const word = wrong.toLowerCase();
  const containing = valid.filter((name) => name.toLowerCase().includes(word));
  if (word !== '' && containing.length > 0) {
    return `Did you mean ${containing.slice(0, 3).join(' or ')}? `;
  }
  if (valid.length === 0) return '';
  const best = closest(word, [...valid]);
  const isNear = distance(word, best) <= Math.max(1, Math.floor(word.length * 0.4));
  return isNear ? `Did you mean ${best}? ` : '';
}
