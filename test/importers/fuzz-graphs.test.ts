import { expect, test } from 'vitest';
import { fuzz } from './fuzz.ts';
import { graphSubjects } from './fuzz-graphs.ts';

/** `LM2MCU_PROPERTY_RUNS=100000` runs the long form. */
const cases = Number(process.env['LM2MCU_PROPERTY_RUNS'] ?? '300');

/** Outcomes that the damage must reach, so that it goes beyond the file's first bytes. */
const reached = {
  onnx: ['accepted', 'bad-onnx', 'unsupported-model', 'missing-file'],
  tfjs: ['accepted', 'bad-tfjs', 'bad-json', 'bad-config', 'unsupported-model'],
  tflite: ['accepted', 'bad-tflite', 'unsupported-model'],
} satisfies Record<keyof typeof graphSubjects, readonly string[]>;

const formats = Object.keys(reached) as readonly (keyof typeof reached)[];

test.each(formats)(
  `${cases} damaged %s models are accepted or refused with a message`,
  (format) => {
    const { outcomes } = fuzz(cases, 1, graphSubjects[format]());
    for (const code of reached[format]) expect(outcomes[code], code).toBeGreaterThan(0);
  },
  60_000 + cases * 200,
);
