/** What every executor checks before it runs. */
import { userError } from '../errors.ts';
import type { Tokens } from './interpreter.ts';
import type { RunnableModel } from './stored-model.ts';

/** What `lm2mcu_set_tokens` checks. */
export function checkTokens(
  { maxTokens, idOrder, card }: RunnableModel,
  { ids, segmentStart }: Tokens,
): void {
  if (ids.length === 0 && card.kind === 'generation') {
    throw userError({
      code: 'bad-token',
      message: 'the prompt is empty, and the model has no token to begin with',
      hint: 'Give at least one character.',
    });
  }
  if (ids.length > maxTokens) {
    throw userError({
      code: 'too-long',
      message: `${ids.length} tokens are more than the model was built for (${maxTokens})`,
      hint: 'Give fewer, or build with a larger --max-tokens.',
    });
  }
  const areKnown = Array.from(ids).every(
    (id) => Number.isInteger(id) && isBelow(id, idOrder.length),
  );
  const startsInside = Number.isInteger(segmentStart) && isBelow(segmentStart, ids.length + 1);
  if (ids.length >= 1 && areKnown && startsInside) return;
  throw userError({
    code: 'bad-token',
    message: 'no token, an unknown token id or a wrong segment start',
    hint: `Compact ids go from 0 to ${idOrder.length - 1}.`,
  });
}

export function checkGenerates({ card }: RunnableModel): void {
  if (card.kind === 'generation') return;
  throw userError({
    code: 'not-generating',
    message: `${card.name} does not generate text: its kind is ${card.kind}`,
    hint: 'Leave out what is about generated tokens.',
  });
}

function isBelow(value: number, limit: number): boolean {
  return value >= 0 && value < limit;
}
