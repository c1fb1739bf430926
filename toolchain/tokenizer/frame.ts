/** The tokens that `tokenizer.json`'s post-processor puts around texts, to a `Frame`. */
import { z } from 'zod';
import { unsupported } from './special-tokens.ts';

/** The ids around the text: `before` A `after`, or `before` A `between` B `after`. */
export interface Frame {
  readonly before: readonly number[];
  readonly between: readonly number[];
  readonly after: readonly number[];
  /** How many of `between` belong to A's segment; -1: B's segment is the same. */
  readonly segmentBreak: number;
}

/** The frame's tokens, one behind the other. */
export function framingTokens({ before, between, after }: Frame): readonly number[] {
  return [...before, ...between, ...after];
}

const file = 'tokenizer.json';

const special = z.object({ SpecialToken: z.object({ id: z.string(), type_id: z.number() }) });
const sequence = z.object({ Sequence: z.object({ id: z.string(), type_id: z.number() }) });
const piece = z.union([special, sequence]);
const idSchema = z.number().int().nonnegative();

const stage = z.object({
  type: z.string(),
  single: z.array(piece).optional(),
  pair: z.array(piece).optional(),
  special_tokens: z.record(z.string(), z.object({ ids: z.array(idSchema) })).optional(),
  sep: z.tuple([z.string(), idSchema]).optional(),
  cls: z.tuple([z.string(), idSchema]).optional(),
});
type Stage = z.infer<typeof stage>;

export const postProcessorSchema = z
  .union([z.object({ type: z.literal('Sequence'), processors: z.array(stage) }), stage])
  .nullish();

const bare: Frame = { before: [], between: [], after: [], segmentBreak: -1 };

export function frameOf(processor: z.infer<typeof postProcessorSchema>): Frame {
  if (processor == null) return bare;
  const stages = 'processors' in processor ? processor.processors : [processor];
  // ByteLevel only moves offsets.
  const [adding, ...others] = stages.filter(({ type }) => type !== 'ByteLevel');
  if (adding === undefined) return bare;
  if (others.length > 0) throw strange('a Sequence that adds tokens twice');
  const { type, cls, sep } = adding;
  if (type === 'TemplateProcessing') return templateFrame(adding);
  if (cls === undefined || sep === undefined) throw strange(type);
  const [before, after] = [[cls[1]], [sep[1]]];
  if (type === 'RobertaProcessing') {
    return { before, between: [...after, ...after], after, segmentBreak: -1 };
  }
  if (type === 'BertProcessing') return { before, between: after, after, segmentBreak: 1 };
  throw strange(type);
}

function templateFrame({ single = [], pair = [], special_tokens = {} }: Stage): Frame {
  const [first, second] = [partsOf(single), partsOf(pair)];
  const isPair = second.texts.join(' ') === 'A B' && first.texts.join(' ') === 'A';
  const [before = [], afterSingle = []] = first.around;
  const [beforePair = [], between = [], after = []] = second.around;
  const isSame = (a: readonly Piece[], b: readonly Piece[]): boolean =>
    a.map(({ name }) => name).join(' ') === b.map(({ name }) => name).join(' ');
  // In a template without tokens, of GPT-2's kind, there may be no pair at all.
  if (pair.length > 0 && !(isPair && isSame(before, beforePair) && isSame(afterSingle, after))) {
    throw strange('TemplateProcessing, with other tokens around a pair than around a text');
  }
  const ids = (pieces: readonly Piece[]): readonly number[] =>
    pieces.flatMap(({ name }) => {
      const token = special_tokens[name];
      if (token === undefined) throw strange(`TemplateProcessing, which has no ids for ${name}`);
      return token.ids;
    });
  const own = between.filter(({ type }) => type === 0);
  const isOneSegment = second.types[1] !== 1;
  return {
    before: ids(before),
    between: ids(between),
    after: ids(afterSingle),
    segmentBreak: isOneSegment ? -1 : ids(own).length,
  };
}

interface Piece {
  readonly name: string;
  readonly type: number;
}

/** The texts of a template, and the tokens before, between and after them. */
function partsOf(template: readonly z.infer<typeof piece>[]) {
  const texts: string[] = [];
  const types: number[] = [];
  const around: Piece[][] = [[]];
  for (const one of template) {
    if ('Sequence' in one) {
      texts.push(one.Sequence.id);
      types.push(one.Sequence.type_id);
      around.push([]);
    } else {
      around.at(-1)!.push({ name: one.SpecialToken.id, type: one.SpecialToken.type_id });
    }
  }
  return { texts, types, around };
}

function strange(what: string) {
  return unsupported(file, `the post-processor is ${what}`);
}
