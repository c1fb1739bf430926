/**
 * `report.json`: everything the renderers show, as plain data. Keys are only ever added.
 *
 * What depends on the link is measured from the linked image and null where nothing was linked; the
 * prediction made before linking stands beside it in `predicted`.
 */
import * as z from 'zod';
import { userError } from '../errors.ts';
import { planGoals } from '../schedule/plan.ts';

const count = z.number().nonnegative();
/** Null: nothing was linked. */
const measured = count.nullable();
const list = <T extends z.ZodType>(item: T) => z.array(item).readonly();

const regionSchema = z.object({
  name: z.string(),
  kind: z.enum(['flash', 'nor', 'sram', 'tcm', 'linear']),
  capacityBytes: count,
  usedBytes: measured,
  /** Before linking: constants and arena where they are placed, with reserves for code and stack. */
  predictedBytes: count,
});

const layerSchema = z.object({
  /** As the user's model calls it. */
  name: z.string(),
  op: z.string(),
  /** Null: rows are only copied. */
  kernel: z.string().nullable(),
  /** Index into `calls`. */
  call: count,
  rows: count,
  columns: count,
  /** Counting those that are done again. */
  macs: count,
  /** All constants of the layer, embedding tables included. */
  weightBytes: count,
  /** Bytes of constants read in one inference: tiles read them again and again. */
  weightBytesRead: count,
  estimatedInstructions: count,
  estimatedCycles: count,
  /** Where the target has an NPU: what makes the layer, and the cycles that either would take. */
  device: z.enum(['core', 'npu']).exactOptional(),
  estimates: z.object({ core: count, npu: count.nullable() }).exactOptional(),
});

const bufferSchema = z.object({
  name: z.string(),
  kind: z.enum(['input', 'output', 'whole', 'state', 'tile', 'scratch']),
  dtype: z.string(),
  rows: count,
  columns: count,
  offset: count,
  sizeBytes: count,
  /** Calls during which its bytes are reserved, those of buffers in the same place included. */
  firstCall: count,
  lastCall: count,
  /** Calls from its own first write to its own last read; loops count as a whole. */
  firstUse: count,
  lastUse: count,
  /** The buffer it overwrites row by row. */
  inPlaceOf: z.string().nullable(),
});

const callSchema = z.object({
  name: z.string(),
  op: z.string(),
  /** Index into `segments`. */
  segment: count,
  inputs: list(z.string()),
  output: z.string(),
  scratch: z.string().nullable(),
  /** Bytes of the arena in use during the call. */
  liveBytes: count,
});

/** As the scheduler takes it; its fields are the scheduler's own (toolchain/schedule/plan.ts). */
const planSchema = z.looseObject({});

const planOfFrontSchema = z.object({
  plan: planSchema,
  text: z.string(),
  arenaBytes: count,
  /** An estimate for `maxTokens` tokens. */
  instructions: count,
  isChosen: z.boolean(),
});

/** What smaller caches would cost: measured by `eval --cache-prices`, which adds it to the report. */
const cachePricesSchema = z.object({
  examples: count,
  tokens: count,
  /** All rows first. Bytes of keys, values and scores; of the arena that the plan then needs. */
  prices: list(
    z.object({ cache: z.string(), cacheBytes: count, arenaBytes: count, perplexity: count }),
  ),
});

const reportSchema = z.object({
  version: z.literal(1),
  tool: z.object({ name: z.string(), version: z.string() }),
  model: z.object({
    name: z.string(),
    kind: z.string(),
    parameters: count,
    sha256: z.string(),
    /** Of graph.bin: the model as compiled. The firmware's console shows it. */
    compiledSha256: z.string(),
    labels: list(z.string()).nullable(),
    maxPositions: count,
    vocabularySize: count,
    /** Words and pieces that some text can reach, which alone are stored. */
    storedVocabularySize: count,
  }),
  target: z.object({
    name: z.string(),
    title: z.string(),
    chip: z.string(),
    core: z.string(),
    npu: z.string().nullable(),
    /** 0: it has none of its own. */
    clockHz: count,
    /** How far the board's description has been tried out. */
    verified: z.object({ status: z.string(), how: z.string() }),
  }),
  maxTokens: count,
  plan: z.object({
    /** What was asked for: `fits`, `fastest` or `smallest`. */
    goal: z.enum(planGoals),
    chosen: planSchema,
    text: z.string(),
    /** For `maxTokens` tokens, as the planner compared plans: before quantization, with no flash spent on speed. */
    estimatedInstructions: count,
    arenaBytes: count,
    lowerBoundBytes: count,
    /** How far the arena is above the lower bound. */
    gapPercent: count,
    /** Plans of which none is better both in memory and in work; the smallest arena first. */
    front: list(planOfFrontSchema),
  }),
  flash: z.object({
    capacityBytes: count,
    usedBytes: measured,
    codeBytes: measured,
    tokenizerBytes: count,
    embeddingBytes: count,
    encoderBytes: count,
    /** What generated texts may be, where the build says so. */
    constraintBytes: count.exactOptional(),
    /** Console text, initial values of variables, gaps for alignment. */
    otherBytes: measured,
  }),
  sram: z.object({
    capacityBytes: count,
    /** Arena, static and stack at its bound: nothing else is ever used. */
    peakBytes: measured,
    arenaBytes: count,
    staticBytes: measured,
    stackBytes: measured,
    /** The layer during which most of the arena is in use. */
    peakAt: z.string(),
  }),
  predicted: z.object({
    flashBytes: count,
    sramBytes: count,
    codeReserveBytes: count,
    sramReserveBytes: count,
  }),
  regions: list(regionSchema),
  /** Of a WebAssembly module; what `flash` and `sram` say lies in its one memory. */
  module: z
    .object({
      /** Of model.wasm. */
      fileBytes: count,
      /** Code of both variants, and of that the one for relaxed SIMD. */
      codeBytes: count,
      relaxedCodeBytes: count,
      dataBytes: count,
      /** From the start on. */
      pages: count,
      pageBytes: count,
    })
    .exactOptional(),
  arena: z.object({
    region: z.string(),
    sizeBytes: count,
    /** The most bytes in use during any call: no placement needs less. */
    lowerBoundBytes: count,
    gapBytes: count,
  }),
  compute: z.object({
    /** Counting those that are done again. */
    macs: count,
    /** Of the graph as imported. */
    macsUnoptimized: count,
    estimatedInstructions: count,
    estimatedCycles: count,
    /** Where the estimate comes from and how good it is. */
    estimatedFrom: z.string(),
    /** Where the target has an NPU: its share of what stands above. */
    npu: z
      .object({
        accelerator: z.string(),
        jobs: count,
        /** Jobs that are started in one inference. */
        runs: count,
        macs: count,
        /** In cycles of the core, what starting the jobs takes included. */
        estimatedCycles: count,
        /** The core alone would take so many for the same layers. */
        coreCycles: count,
        estimatedFrom: z.string(),
      })
      .exactOptional(),
  }),
  /** Of a model that generates: one token more, when a text is as long as can be. */
  token: z
    .object({
      /** How many tokens there are with it. */
      position: count,
      /** As `--cache` took it. */
      cache: z.string(),
      /** Of all layers' keys and values, and of what else is kept from token to token. */
      cacheBytes: count,
      cacheBytesRead: count,
      macs: count,
      estimatedInstructions: count,
      estimatedCycles: count,
      /** Constants, by where they lie; of memory-mapped NOR (kind `nor`) what comes over its bus. */
      reads: list(z.object({ region: z.string(), kind: regionSchema.shape.kind, bytes: count })),
      layers: list(
        layerSchema
          .pick({ name: true, op: true, macs: true, weightBytesRead: true })
          .extend({ cacheBytes: count, cacheBytesRead: count })
          .extend({ estimatedInstructions: count, estimatedCycles: count }),
      ),
      cachePrices: cachePricesSchema.exactOptional(),
    })
    .exactOptional(),
  layers: list(layerSchema),
  segments: list(
    z.object({
      name: z.string(),
      rows: count,
      tileRows: count,
      tiles: count,
      firstCall: count,
      lastCall: count,
    }),
  ),
  calls: list(callSchema),
  buffers: list(bufferSchema),
  /** Null: nothing was linked. */
  stack: z
    .object({
      boundBytes: count,
      path: list(z.object({ name: z.string(), bytes: count })),
    })
    .nullable(),
  /** What the user should know, a sentence each. */
  notes: list(z.string()),
});

export type Report = Readonly<z.infer<typeof reportSchema>>;
export type CachePricesReport = Readonly<z.infer<typeof cachePricesSchema>>;
export type ReportLayer = Report['layers'][number];
export type ReportBuffer = Report['buffers'][number];
export type PlanOfFront = Report['plan']['front'][number];
export type ReportRegion = Report['regions'][number];

/** Reads back what `renderReport(report, 'json')` wrote. `where` names the file, for messages. */
export function parseReport(json: string, where = 'report.json'): Report {
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch (cause) {
    throw badReport(cause instanceof Error ? cause.message : String(cause), where);
  }
  const parsed = reportSchema.safeParse(value);
  if (!parsed.success) throw badReport(z.prettifyError(parsed.error), where);
  return parsed.data;
}

function badReport(reason: string, where: string): Error {
  return userError({
    code: 'bad-report',
    message: `this is not a report of lm2mcu: ${reason}`,
    where,
    hint: 'Give the folder that lm2mcu build wrote, or build it again with this version.',
  });
}
