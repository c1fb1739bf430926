/** Special tokens and frame of a compiled tokenizer: `lm_specials` and `lm_frame` of kernels/c/text.h. */
import type { CompiledSpecials } from './added-tokens.ts';
import { bytes, halfwords } from './constant-types.ts';
import type { Frame } from './frame.ts';

export function frameArray(frame: Uint16Array) {
  return { 'frame.tokens': halfwords('frame', frame, 'the tokens around the texts') };
}

export function frameNumbers({ before, between, after, segmentBreak }: Frame) {
  return {
    'frame.before': before.length,
    'frame.between': between.length,
    'frame.after': after.length,
    'frame.segment_break': segmentBreak,
  };
}

export function framingArrays({
  specials,
  frame,
}: Pick<CompiledSpecials, 'specials'> & { readonly frame: Uint16Array }) {
  return {
    'specials.entries': bytes('specials', specials, 'length, flags, compact index, text'),
    ...frameArray(frame),
  };
}

export function framingNumbers(specialLead: CompiledSpecials['specialLead'], frame: Frame) {
  return {
    'specials.lead_min': specialLead.min,
    'specials.lead_max': specialLead.max,
    ...frameNumbers(frame),
  };
}
