/** `--max-tokens`: the longest text that a build is made for. */
import { userError } from '../errors.ts';

const mostWithoutFlag = 128;

/** What is taken where the user says nothing; `positions`: of the model. */
export function usualMaxTokens(positions: number): number {
  return Math.min(mostWithoutFlag, positions);
}

/** Of the option's help text. */
export const usualMaxTokensText = `${mostWithoutFlag} if not given, or all that a shorter model takes`;

export function checkMaxTokens(maxTokens: number, maxPositions: number): void {
  if (Number.isInteger(maxTokens) && maxTokens >= 2 && maxTokens <= maxPositions) return;
  throw userError({
    code: 'bad-max-tokens',
    message: Number.isNaN(maxTokens)
      ? '--max-tokens takes a whole number'
      : `--max-tokens ${maxTokens} is outside what the model can take`,
    where: `the model has ${maxPositions} positions`,
    hint: `Use a whole number from 2 to ${maxPositions}.`,
  });
}
