/** The jobs of an NPU as C: a payload and a struct of `npu/npu.h` each, and what they all read. */
import { sectionMacros } from './c-constants.ts';
import type { CNames } from './c-names.ts';
import { type ConstantArray, constantArray, initializer } from './c-text.ts';
import type { NpuImage } from './npu-image.ts';

/** Arm's driver asks it of payloads and of every region. */
const alignment = 'LM2MCU_ALIGNED_NPU';

export const npuAlignmentMacro = `
/* As the NPU reads it. */
#define ${alignment} __attribute__((aligned(16)))
`;

export interface NpuConstants {
  readonly arrays: readonly ConstantArray[];
  readonly text: string;
}

export function npuDeclarations({ jobs, constants }: NpuImage, names: CNames): string {
  return [
    `extern const uint8_t model_npu_constants[${constants.length}];\n`,
    ...jobs.map((_, index) => `extern const lm_npu_job ${names.jobs[index]!};\n`),
  ].join('');
}

export function npuConstants(
  { jobs, constants, accelerator }: NpuImage,
  names: CNames,
): NpuConstants {
  const shared = { section: sectionMacros.encoder, alignment };
  const region: ConstantArray = {
    ...shared,
    name: 'model_npu_constants',
    ctype: 'uint8_t',
    data: constants,
    comment: `weights, scales and tables for ${accelerator}`,
    isStatic: false,
  };
  const payloads = jobs.map(({ payload }, index): ConstantArray => {
    const bytes = payload.slice();
    return {
      ...shared,
      name: `${names.jobs[index]!}_payload`,
      ctype: 'uint32_t',
      data: new Uint32Array(bytes.buffer),
      comment: `command stream for ${accelerator}`,
      isStatic: true,
    };
  });
  const structs = jobs.map(({ payload, regionBytes }, index) => {
    const name = names.jobs[index]!;
    const fields = {
      payload: `${name}_payload`,
      payload_bytes: payload.length,
      bases: regionBytes.length,
    };
    return `const lm_npu_job ${name} ${sectionMacros.encoder} = ${initializer(fields)};\n`;
  });
  const text = [
    constantArray(region),
    ...payloads.map((payload, index) => `${constantArray(payload)}\n${structs[index]!}`),
  ].join('\n');
  return { arrays: [region, ...payloads], text };
}
