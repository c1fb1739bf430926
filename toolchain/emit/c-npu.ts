/** The jobs of an NPU as C: a payload and a struct of `npu/npu.h` each, and what they all read. */
import { accelerators } from '../ethosu/accelerators.ts';
import type { LinearPlan } from '../ethosu/linear-plan.ts';
import type { Program } from '../schedule/program.ts';
import { sectionMacros } from './c-constants.ts';
import type { CNames } from './c-names.ts';
import { type ConstantArray, constantArray, initializer } from './c-text.ts';
import type { JobImage, NpuImage } from './npu-image.ts';

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

export function npuIncludes({ attentions }: NpuImage): string {
  return attentions.length > 0 ? '#include "kernels/npu_attention.h"\n' : '#include "npu/npu.h"\n';
}

export function npuDeclarations({ jobs, attentions, constants }: NpuImage, names: CNames): string {
  return [
    `extern const uint8_t model_npu_constants[${constants.length}];\n`,
    ...jobs.map((_, index) => `extern const lm_npu_job ${names.jobs[index]!};\n`),
    ...attentions.map((_, index) => `extern const lm_npu_attention ${names.attentions[index]!};\n`),
  ].join('');
}

export function npuConstants(program: Program, image: NpuImage, names: CNames): NpuConstants {
  const { accelerator, constants } = image;
  const region: ConstantArray = {
    name: 'model_npu_constants',
    ctype: 'uint8_t',
    data: constants,
    comment: `weights, scales and tables for ${accelerator}`,
    isStatic: false,
    section: sectionMacros.encoder,
    alignment,
  };
  const jobs = image.jobs.map((job, index) => {
    const name = names.jobs[index]!;
    const payload = payloadArray(`${name}_payload`, job, accelerator);
    const struct = initializer(jobFields(payload.name, job));
    return {
      arrays: [payload],
      text: `${constantArray(payload)}\nconst lm_npu_job ${name} ${sectionMacros.encoder} = ${struct};\n`,
    };
  });
  const attentions = image.attentions.map((_, index) =>
    attentionConstants(program, image, index, names),
  );
  const parts = [...jobs, ...attentions];
  return {
    arrays: [region, ...parts.flatMap(({ arrays }) => arrays)],
    text: [constantArray(region), ...parts.map(({ text }) => text)].join('\n'),
  };
}

function payloadArray(name: string, { payload }: JobImage, accelerator: string): ConstantArray {
  return {
    name,
    ctype: 'uint32_t',
    data: new Uint32Array(payload.slice().buffer),
    comment: `command stream for ${accelerator}`,
    isStatic: true,
    section: sectionMacros.encoder,
    alignment,
  };
}

function jobFields(payload: string, { payload: bytes, regionBytes }: JobImage) {
  return { payload, payload_bytes: bytes.length, bases: regionBytes.length };
}

function attentionConstants(
  { npu, segments }: Program,
  { attentions, accelerator }: NpuImage,
  index: number,
  names: CNames,
): NpuConstants {
  const name = names.attentions[index]!;
  const { plan } = npu!.attentions[index]!;
  const calls = segments.flatMap((segment) => segment.calls);
  const { output } = calls.find(({ attention }) => attention === index)!.node!;
  const { jobs } = attentions[index]!;
  const payloads = jobs.map((job, number) =>
    payloadArray(`${name}_payload_${number}`, job, accelerator),
  );
  const structs = jobs.map((job, number) =>
    initializer(jobFields(payloads[number]!.name, job), '  '),
  );
  const weights = (of: LinearPlan, bytes: number) =>
    initializer(
      {
        outputs: of.outputs,
        inputs: of.inputs,
        block_depth: of.block.depth,
        micro_depth: accelerators[accelerator].microBlock.depth,
        bytes,
      },
      '  ',
    );
  const struct = initializer({
    attention: `&${names.constants.get(output)!}_params`,
    jobs: `${name}_jobs`,
    constants: 'model_npu_constants',
    constant_bytes: 'sizeof model_npu_constants',
    rows: plan.rows,
    keys: plan.keys,
    scores: weights(plan.scores, plan.scoreStreamBytes),
    sums: weights(plan.sums, plan.sumStreamBytes),
  });
  const text = [
    ...payloads.map(constantArray),
    `static const lm_npu_job ${name}_jobs[${jobs.length}] ${sectionMacros.encoder} = {${structs.join(', ')}};\n`,
    `const lm_npu_attention ${name} ${sectionMacros.encoder} = ${struct};\n`,
  ].join('\n');
  return { arrays: payloads, text };
}
