import { expect, test } from 'vitest';
import { fuzz } from './fuzz.ts';
import { graphSubjects } from './fuzz-graphs.ts';

/** `LM2MCU_PROPERTY_RUNS=100000` runs the long form. */
const cases = Number(process.env['LM2MCU_PROPERTY_RUNS'] ?? '300');

/** Outcomes that the damage must reach, so that it goes beyond the file's first bytes. */
const reached: Readonly<Record<string, readonly string[]>> = {
  onnx: ['accepted', 'bad-onnx', 'unsupported-model', 'missing-file'],
  tfjs: ['accepted', 'bad-tfjs', 'bad-json', 'bad-config', 'unsupported-model'],
  tflite: ['accepted', 'bad-tflite', 'unsupported-model'],
};

test.each(Object.entries(reached))(
  `${cases} damaged %s models are accepted or refused with a message`,
  (format, codes) => {
    const { outcomes } = fuzz(cases, 1, graphSubjects[format]!());
    for (const code of codes) expect(outcomes[code], code).toBeGreaterThan(0);
  },
  60_000 + cases * 200,
);
