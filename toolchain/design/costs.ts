/**
 * What the parts of a decoder cost on a board: bytes of flash, bytes of RAM and cycles a token.
 *
 * These are formulas, for thousands of decoders are judged that have no graph yet: the weights' bytes as
 * the kernels store them, an int8 cache of keys and values, one row at a time through every layer
 * (prompts too), and the instructions that the board's kernels were measured to take for one row
 * (`targets/cores`). A test holds them against the planner and the cost model; the decoder that is chosen
 * is planned (`planned.ts`).
 */
import { internalError } from '../errors.ts';
import { roundUp } from '../integers.ts';
import { waitCycles } from '../schedule/cost.ts';
import {
  type KernelTable,
  loadKernels,
  type OperandTypes,
  scratchBytes,
  selectKernel,
} from '../schedule/kernels.ts';
import type { Target } from '../targets.ts';
import type { Block } from './architecture.ts';

export interface Cost {
  readonly parameters: number;
  readonly flashBytes: number;
  /** Of keys and values, at the full context. */
  readonly cacheBytes: number;
  /** RAM beside the cache while it runs; parts run one after the other. */
  readonly liveBytes: number;
  /** Of one token behind a full context, the slowest there is. */
  readonly cycles: number;
}

export interface DecoderCosts {
  /** All layers of a block. */
  block(block: Block): Cost;
  /** A linear between blocks of different widths. */
  projection(inputs: number, outputs: number): Cost;
  /** Tables, last norm and logits of a decoder whose first and last blocks have these widths. */
  ends(embedding: number, first: number, last: number): Cost;
}

export const weightTypes = ['int8', 'int4'] as const;
export type WeightType = (typeof weightTypes)[number];

export interface CostRequest {
  readonly target: Target;
  /** Of the linears; the token table is int8. */
  readonly weights: WeightType;
  readonly vocabulary: number;
  readonly context: number;
  /** The region that the constants lie in. */
  readonly region: string;
}

/** Weights of an output are packed in blocks of as many (`packings.ts`). */
const packedInputs = 32;
/** Bias, multiplier and shift of an output (`lm_linear`). */
const bytesPerOutput = 4 + 4 + 1;
/** gamma as int16 and beta as int32 (`lm_norm`). */
const normBytesPerColumn = 2 + 4;
/** The residual stream, the logits. */
const wideBytes = 2;
/** Of an activation by table. */
const activationTableBytes = 256;
/** exp table, score multiplier and shift of a head (`lm_attention`). */
const bytesPerHead = 256 + 4 + 1;

export function formulaCosts(request: CostRequest): DecoderCosts {
  const { target, vocabulary, context, region, weights } = request;
  const run = rowCosts(loadKernels(), target);
  const cycles = (instructions: number, bytesRead: number): number =>
    instructions * target.core.cost.cyclesPerInstruction + waitCycles(bytesRead, region, target);
  const linear = (inputs: number, outputs: number, type: WeightType, output: Output): Linear => {
    const packed = roundUp(inputs, packedInputs) * outputs;
    const flashBytes = packed / (type === 'int4' ? 2 : 1) + bytesPerOutput * outputs;
    const { instructions, scratch } = run.linear(inputs, outputs, type, output);
    return {
      parameters: inputs * outputs,
      flashBytes,
      cycles: cycles(instructions, flashBytes),
      scratch,
    };
  };
  const norm = (width: number): Linear => ({
    parameters: 2 * width,
    flashBytes: normBytesPerColumn * width,
    cycles: cycles(run.norm(width), normBytesPerColumn * width),
    scratch: 0,
  });

  return {
    block({ width, heads, feedForward, layers, isShared }) {
      const square = linear(width, width, weights, 'int8');
      const ending = linear(width, width, weights, 'int16');
      const up = linear(width, feedForward, weights, 'table');
      const down = linear(feedForward, width, weights, 'int16');
      const parts = [norm(width), square, square, square, ending, norm(width), up, down];
      const attention = run.attention(width, heads, context);
      const stored = isShared ? 1 : layers;
      const parameters = sum(parts, 'parameters') + 5 * width + feedForward;
      const flashBytes = sum(parts, 'flashBytes') + heads * bytesPerHead + activationTableBytes;
      const ofLayer = sum(parts, 'cycles') + cycles(attention.instructions + 2 * run.add(width), 0);
      const scratch = Math.max(...parts.map((part) => part.scratch));
      return {
        parameters: stored * parameters,
        flashBytes: stored * flashBytes,
        cacheBytes: layers * 2 * width * context,
        liveBytes:
          wideBytes * width +
          Math.max(3 * width + Math.max(scratch, attention.scratch), width + feedForward + scratch),
        cycles: layers * ofLayer,
      };
    },
    projection(inputs, outputs) {
      const { scratch, ...part } = linear(inputs, outputs, weights, 'int8');
      const liveBytes = wideBytes * outputs + inputs + scratch;
      return { ...part, parameters: part.parameters + outputs, cacheBytes: 0, liveBytes };
    },
    ends(embedding, first, last) {
      const table = linear(embedding, vocabulary, 'int8', 'int16');
      const head = last === embedding ? [] : [linear(last, embedding, weights, 'int8')];
      const start = first === embedding ? [] : [linear(embedding, first, weights, 'int8')];
      const parts = [table, ...head, ...start, norm(last)];
      const starts = start.length > 0 ? first : 0;
      const scratch = Math.max(...parts.map((part) => part.scratch));
      return {
        parameters: sum(parts, 'parameters') + starts + context * embedding,
        flashBytes: sum(parts, 'flashBytes') + context * embedding,
        cacheBytes: 0,
        liveBytes: last + embedding + wideBytes * vocabulary + scratch,
        cycles:
          sum(parts, 'cycles') + cycles(run.lookups(embedding) + run.add(embedding), 2 * embedding),
      };
    },
  };
}

type Output = 'int8' | 'int16' | 'table';

interface Linear {
  readonly parameters: number;
  readonly flashBytes: number;
  readonly cycles: number;
  readonly scratch: number;
}

function sum(parts: readonly Linear[], key: keyof Linear): number {
  return parts.reduce((total, part) => total + part[key], 0);
}

/** Work of one row of a kernel, in the terms of `targets/cores`. */
interface RowWork {
  readonly inputs: number;
  readonly outputs: number;
  readonly macs?: number;
  readonly scores?: number;
  readonly lookups?: number;
}

/** The residual stream. */
const wide: OperandTypes = { input: 'int16' };

/** Instructions and scratch of one row, by the best kernel of the core. */
function rowCosts(kernels: KernelTable, { core }: Target) {
  const kernelOf = (family: string, output: string, types: OperandTypes = {}) =>
    selectKernel(kernels, family, output, core.features, types);
  const instructions = (name: string, work: RowWork): number => {
    const { inputs, outputs, macs = 0, scores = 0, lookups = 0 } = work;
    const cost = core.cost.kernels[name]?.find(
      ({ mostInputs }) => mostInputs === null || inputs <= mostInputs,
    );
    if (cost === undefined) throw internalError(`${name} has no cost on ${core.name}`, name);
    const [pass] = cost.passes;
    const row = pass!.row + pass!.element * outputs + pass!.mac * macs + pass!.score * scores;
    return cost.call + cost.shared * outputs + cost.whole * macs + row + pass!.table * lookups;
  };
  return {
    linear(inputs: number, outputs: number, weights: WeightType, output: Output) {
      const type = output === 'int16' ? 'int16' : 'int8';
      const kernel = kernelOf('linear', type, { weights });
      const lookups = output === 'table' ? outputs : 0;
      return {
        instructions: instructions(kernel.name, {
          inputs,
          outputs,
          macs: inputs * outputs,
          lookups,
        }),
        scratch: scratchBytes(kernel, { inputs, outputs, columns: 0, tokens: 0 }),
      };
    },
    attention(width: number, heads: number, tokens: number) {
      const kernel = kernelOf('causal_attention', 'int8');
      const work = { macs: 2 * width * tokens, scores: heads * tokens };
      return {
        instructions: instructions(kernel.name, { inputs: width, outputs: width, ...work }),
        scratch: scratchBytes(kernel, { inputs: width, outputs: width, columns: width, tokens }),
      };
    },
    norm: (width: number) =>
      instructions(kernelOf('layer_norm', 'int8', wide).name, { inputs: width, outputs: width }),
    add: (width: number) =>
      instructions(kernelOf('residual_add', 'int16', wide).name, { inputs: width, outputs: width }),
    /** A token's row, of the head's weight, and a position's. */
    lookups: (width: number) =>
      ['weight_rows', 'lookup_rows']
        .map((family) => kernelOf(family, 'int16').name)
        .reduce((all, name) => all + instructions(name, { inputs: width, outputs: width }), 0),
  };
}
