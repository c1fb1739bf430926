/** C names for layers and buffers: readable, and no two the same, whatever the layers are called. */
import type { Program } from '../schedule/program.ts';
import { identifier } from './c-text.ts';

export interface CNames {
  /** By a node's output: what its struct and arrays begin with. */
  readonly constants: ReadonlyMap<string, string>;
  /** By a buffer's name; local to `lm2mcu_run`. */
  readonly buffers: ReadonlyMap<string, string>;
  /** By NPU job. */
  readonly jobs: readonly string[];
  /** By attention of the NPU. */
  readonly attentions: readonly string[];
}

/** What follows a node's name in the names of its constants. */
const constantSuffixes = [
  'params',
  'weights',
  'bias',
  'multipliers',
  'shifts',
  'table',
  'score_multipliers',
  'score_shifts',
  'exp_tables',
  'rescale_tables',
  'softmax_multipliers',
  'softmax_shifts',
  'smallest_differences',
  'gamma',
  'beta',
  'rows',
  'groups',
  'before',
  'factors',
  'projections',
  'offsets',
  'codes',
  'entries',
  'position',
  'segment',
  'angles',
  'gates',
] as const;
export type ConstantSuffix = (typeof constantSuffixes)[number];

/** C11's keywords, what C99's headers define in lower case, and the names of the generated code. */
const reserved =
  `auto break case char const continue count default do double else enum extern float for goto if inline
  int long register restrict return short signed sizeof static struct switch typedef union unsigned
  void volatile while bool true false offsetof arena card labels result row rows segment_start start state
  token tokens`.split(/\s+/);
const reservedForm = /^(lm|lm2mcu|model|npu|u?int[0-9]*)(_|$)|^[A-Z0-9_]+$/;

/** `moreReserved`: words that another language than C keeps for itself. */
export function chooseNames(
  { graph, buffers, npu }: Pick<Program, 'graph' | 'buffers' | 'npu'>,
  moreReserved: readonly string[] = [],
): CNames {
  const constants = new Map<string, string>();
  const taken = new Set<string>();
  const names = (name: string) => constantSuffixes.map((suffix) => `${name}_${suffix}`);
  for (const node of graph.nodes) {
    const name = firstFree(node.name, (candidate) =>
      names(candidate).some((one) => taken.has(one)),
    );
    for (const one of names(name)) taken.add(one);
    constants.set(node.output, name);
  }
  const locals = new Map<string, string>();
  for (const word of [...reserved, ...moreReserved]) taken.add(word);
  for (const { name: buffer, kind } of Object.values(buffers)) {
    if (kind === 'scratch') continue;
    const name = firstFree(buffer, (candidate) => taken.has(candidate));
    taken.add(name);
    locals.set(buffer, name);
  }
  const jobs = (npu?.jobs ?? []).map((_, index) => `npu_job_${index}`);
  const attentions = (npu?.attentions ?? []).map((_, index) => `npu_attention_${index}`);
  return { constants, buffers: locals, jobs, attentions };
}

function firstFree(layer: string, isTaken: (candidate: string) => boolean): string {
  const name = identifier(layer);
  const start = reservedForm.test(name) ? `layer_${name}` : name;
  for (let number = 1; ; number++) {
    const candidate = number === 1 ? start : `${start}_${number}`;
    if (!isTaken(candidate)) return candidate;
  }
}
