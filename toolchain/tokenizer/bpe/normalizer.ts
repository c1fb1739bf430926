/** The normalizer of a byte-level BPE's `tokenizer.json`. */
import { z } from 'zod';
import { type NormalForm, normalFormNames } from '../normal-form.ts';
import { unsupported } from '../special-tokens.ts';

const stage = z.looseObject({ type: z.string() });

export const normalizerSchema = z
  .union([z.object({ type: z.literal('Sequence'), normalizers: z.array(stage) }), stage])
  .nullish();

/** Null: texts stay as they are. */
export function normalFormOf(json: z.infer<typeof normalizerSchema>): NormalForm | null {
  if (json == null) return null;
  const isList = 'normalizers' in json && Array.isArray(json.normalizers);
  const stages = isList ? (json.normalizers as readonly z.infer<typeof stage>[]) : [json];
  const [first, ...others] = stages.map(({ type }) => type);
  if (first === undefined) return null;
  const name = normalFormNames.find((one) => one === first);
  if (name === undefined || others.length > 0) {
    throw unsupported('tokenizer.json', `the normalizer is ${[first, ...others].join(', ')}`);
  }
  return { name, cleansText: false };
}
