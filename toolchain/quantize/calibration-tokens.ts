/** The token ids that a graph is calibrated on: of the user's texts, or random ones. */
import type { Tokens } from '../emulate/interpreter.ts';
import { compactEncoder, type Example } from '../emulate/stored-model.ts';
import type { ImportedModel } from '../importers/index.ts';
import { fixedSequence } from '../integers.ts';

const randomExamples = 64;

export const uncalibrated =
  'Calibrated on random tokens: give --calibrate texts.jsonl for the accuracy the model can have.';

/** `idOrder`: the vocabulary id of each compact id; `calibration`: null where the user gave none. */
export function calibrationTokens(
  calibration: readonly Example[] | null,
  maxTokens: number,
  { tokenizer }: Pick<ImportedModel, 'tokenizer'>,
  idOrder: Int32Array,
): readonly Tokens[] {
  if (calibration !== null) {
    return calibration.map(compactEncoder({ tokenizer, idOrder }, maxTokens));
  }
  // The same tokens in every build.
  const random = fixedSequence(1);
  const next = (bound: number): number => Math.floor(random() * bound);
  return Array.from({ length: randomExamples }, () => {
    const length = 2 + next(maxTokens - 1);
    return { ids: Int32Array.from({ length }, () => next(idOrder.length)), segmentStart: length };
  });
}
