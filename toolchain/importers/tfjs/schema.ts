/** The JSON of a TensorFlow.js model: a TensorFlow graph or Keras layers, and where its weights lie. */
import { z } from 'zod';

const weightSchema = z.object({
  name: z.string(),
  shape: z.array(z.number().int().min(0)),
  dtype: z.string(),
  quantization: z
    .object({
      dtype: z.enum(['uint8', 'uint16', 'float16']),
      scale: z.number().optional(),
      min: z.number().optional(),
    })
    .optional(),
});
export type TfjsWeight = z.infer<typeof weightSchema>;

/** An integer is a string of its digits. */
const whole = z.union([z.string(), z.number()]).transform(Number);

const shapeSchema = z.object({
  dim: z.array(z.object({ size: whole.optional() })).optional(),
  unknownRank: z.boolean().optional(),
});

export const attributeSchema = z.looseObject({
  b: z.boolean().optional(),
  i: whole.optional(),
  f: z.union([z.number(), z.string()]).optional(),
  /** Base64. */
  s: z.string().optional(),
  type: z.union([z.string(), z.number()]).optional(),
  shape: shapeSchema.optional(),
  list: z
    .looseObject({
      i: z.array(whole).optional(),
      s: z.array(z.string()).optional(),
    })
    .optional(),
});

const nodeSchema = z.object({
  name: z.string(),
  op: z.string(),
  input: z.array(z.string()).default([]),
  attr: z.record(z.string(), attributeSchema).default({}),
});
export type TfNode = z.infer<typeof nodeSchema>;

const signatureSchema = z.object({
  inputs: z.record(z.string(), z.object({ name: z.string().optional() })).default({}),
  outputs: z.record(z.string(), z.object({ name: z.string().optional() })).default({}),
});

export const tfjsModelSchema = z.object({
  format: z.string().optional(),
  generatedBy: z.string().nullish(),
  convertedBy: z.string().nullish(),
  modelTopology: z.looseObject({
    node: z.array(nodeSchema).optional(),
    model_config: z.unknown().optional(),
  }),
  weightsManifest: z.array(
    z.object({ paths: z.array(z.string()), weights: z.array(weightSchema) }),
  ),
  signature: signatureSchema.nullish(),
  userDefinedMetadata: z.looseObject({ signature: signatureSchema.nullish() }).nullish(),
});
export type TfjsModel = z.infer<typeof tfjsModelSchema>;
