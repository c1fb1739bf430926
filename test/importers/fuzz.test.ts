import { expect, test } from 'vitest';
import { fuzz } from './fuzz.ts';

/** `LM2MCU_FUZZ=100000` runs the long form. */
const cases = Number(process.env['LM2MCU_FUZZ'] ?? '20000');

test(
  `${cases} damaged models are accepted or refused with a message`,
  () => {
    const { outcomes } = fuzz(cases, 1);
    // The damage reaches every stage of the import.
    for (const code of [
      'accepted',
      'bad-safetensors',
      'bad-json',
      'bad-config',
      'bad-weights',
      'unsupported-model',
      'vocabulary-mismatch',
      'missing-file',
    ]) {
      expect(outcomes[code], code).toBeGreaterThan(0);
    }
  },
  cases * 20,
);
