/**
 * What a functional model cannot see, as rules over a stream's ops. A rule's sentence is what the
 * manual says; a finding adds the numbers and the word of the op.
 */
import type { Accelerator } from './accelerators.ts';
import { blockProblems, precisionProblems, shramProblems } from './lint-block.ts';
import { findOverlapProblems, findWaitProblems } from './lint-hazards.ts';
import { alignmentProblems, boundsProblems } from './lint-memory.ts';
import type { Block, Dma, Operation } from './operations.ts';
import { readOperations } from './read-operations.ts';
import { type PlacedCommand, readStream } from './stream.ts';

export const lintRules = {
  stop: 'A stream ends with NPU_OP_STOP 0xFFFF, and nothing follows it.',
  'register-not-set': 'An op reads only registers that the stream has set.',
  precision: 'The element types, formats and clip ranges of an op are ones that the hardware has.',
  block: 'An output block is made of whole micro blocks, within 32 × 64 × 128.',
  shram: 'IFM_IB_END, IFM2_IB_START and AB_START are those of the block.',
  alignment: 'Addresses, strides and lengths are multiples of what they must be.',
  bounds: 'Everything that an op reads and writes lies inside its region.',
  'dma-wait': 'An op that touches what a DMA still writes comes after NPU_OP_DMA_WAIT.',
  'kernel-wait': 'A DMA that touches what an op still uses comes after NPU_OP_KERNEL_WAIT.',
  blockdep: 'BLOCKDEP lets no block begin before the blocks are done that made its input.',
} as const;

export type LintRule = keyof typeof lintRules;

export interface Finding {
  readonly rule: LintRule;
  readonly word: number;
  readonly message: string;
}

export interface LintOptions {
  /** Size of each region; one that is absent is not there. */
  readonly regionBytes: readonly number[];
}

export function lint(
  words: Uint32Array,
  accelerator: Accelerator,
  { regionBytes }: LintOptions,
): readonly Finding[] {
  const commands = readStream(words);
  const operations = readOperations(commands);
  const findings = [
    ...stopProblems(commands),
    ...operations.flatMap((operation) => problemsOf(operation, accelerator, regionBytes)),
    ...findWaitProblems(operations, accelerator),
    ...findOverlapProblems(operations),
  ];
  return findings.sort((a, b) => a.word - b.word);
}

function stopProblems(commands: readonly PlacedCommand[]): readonly Finding[] {
  const at = commands.findIndex(({ name }) => name === 'NPU_OP_STOP');
  const last = commands.at(-1);
  const stop = commands[at];
  if (stop === undefined) {
    const word = last === undefined ? 0 : last.word + (last.payload === null ? 1 : 2);
    return [{ rule: 'stop', word, message: 'the stream ends without NPU_OP_STOP' }];
  }
  const { word, param } = stop;
  if (stop !== last) {
    return [
      { rule: 'stop', word, message: `${commands.length - at - 1} commands follow NPU_OP_STOP` },
    ];
  }
  if (param === 0xffff) return [];
  return [{ rule: 'stop', word, message: `the mask of NPU_OP_STOP is 0x${param.toString(16)}` }];
}

function problemsOf(
  operation: Operation,
  accelerator: Accelerator,
  regionBytes: readonly number[],
): readonly Finding[] {
  if (!isChecked(operation)) return [];
  const { word, missing } = operation;
  // The other rules would judge values that are not there.
  if (missing.length > 0) {
    const message = `${missing.join(', ')} was never set`;
    return [{ rule: 'register-not-set', word, message }];
  }
  const say = (rule: LintRule) => (message: string) => ({ rule, word, message });
  const shared = [
    ...alignmentProblems(operation, accelerator).map(say('alignment')),
    ...boundsProblems(operation, accelerator, regionBytes).map(say('bounds')),
  ];
  if (operation.kind === 'dma') return shared;
  const blocks = blockProblems(operation, accelerator);
  return [
    ...shared,
    ...precisionProblems(operation).map(say('precision')),
    ...blocks.map(say('block')),
    // A block that is none has no layout.
    ...(blocks.length > 0 ? [] : shramProblems(operation, accelerator).map(say('shram'))),
  ];
}

function isChecked(operation: Operation): operation is Block | Dma {
  return 'missing' in operation;
}
