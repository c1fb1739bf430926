/** The files of `targets/cores` and `targets/engines`. */
import * as z from 'zod';
import { identifier, positive, template } from './fields.ts';

/**
 * Instructions: `call` a call; `shared` for each item that is prepared for all rows of a chunk (a
 * column of the output; of absorbed attention, an element of its input); and for each row, by how
 * many rows its pass takes, `row + element·elements + mac·MACs + score·scores + table·lookups`. A row
 * of absorbed attention is a row of one head.
 */
const costSchema = z.strictObject({
  /** The widest input that it holds for; null: any. */
  mostInputs: positive.nullable(),
  call: z.number().nonnegative(),
  shared: z.number().nonnegative(),
  /** Of an element of the weights, or of keys and values, for each chunk. */
  whole: z.number().nonnegative().default(0),
  /** Rows of a chunk; null: all rows of a call. */
  chunk: positive.nullable(),
  /** Of absorbed attention: the share of the MACs that is done for whole blocks of 16 tokens. */
  padded: z.number().min(0).max(1),
  /** Of a row in a pass of one row, of two rows, and so on. */
  passes: z
    .array(
      z.strictObject({
        row: z.number().nonnegative(),
        element: z.number().nonnegative(),
        mac: z.number().nonnegative(),
        score: z.number().nonnegative(),
        table: z.number().nonnegative(),
      }),
    )
    .nonempty(),
  /** Rows of the next pass when one row is left, two are left, and so on; with more left, the most. */
  taken: z.array(positive).nonempty(),
});

export const coreSchema = z.strictObject({
  name: identifier,
  title: z.string(),
  /** gcc's -mcpu, -mfpu, -mfloat-abi. */
  gcc: z.strictObject({ cpu: z.string(), fpu: z.string(), floatAbi: z.enum(['hard', 'soft']) }),
  features: z.array(z.enum(['dsp', 'mve', 'fpu', 'caches'])),
  /** Bytes a core pushes when it takes an exception with floating-point state, alignment included. */
  exceptionFrameBytes: positive,
  /** firmware-templates/core/. */
  setup: template('core'),
  /** For estimates before anything runs; see toolchain/schedule/cost.ts. */
  cost: z.strictObject({
    /** The command whose --write put the numbers here. */
    measuredBy: z.string(),
    /** Assumed, not measured: no board has been timed. */
    cyclesPerInstruction: z.number().positive(),
    /** Of every kernel that is the best for the core. */
    kernels: z.record(z.string(), z.array(costSchema).nonempty()),
  }),
});

/** WebAssembly: no regions and no loader, one memory that grows by pages. */
export const engineSchema = z.strictObject({
  name: identifier,
  title: z.string(),
  /** What every engine must have. */
  features: z.array(z.enum(['wasm-simd'])),
  /** Of 64 KiB: what 32-bit addresses reach. */
  mostPages: positive,
  /** As of a core, but of an engine's clock: only which plan is faster is taken from it. */
  cost: z.strictObject({
    countedIn: z.string(),
    kernels: z.record(z.string(), z.array(costSchema).nonempty()),
  }),
  verified: z.strictObject({ how: z.string() }),
});
export type Core = z.infer<typeof coreSchema>;
export type Engine = z.infer<typeof engineSchema>;
