/**
 * `npm run bench npu`: estimated cycles of each layer on a Cortex-M55 with an Ethos-U, with three ways
 * to attend. Nothing here is timed: the core's part comes from instructions counted under QEMU, the
 * NPU's from the formulas of Vela's performance model.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { exitCodes, formatError, Lm2mcuError, userError } from '../../toolchain/errors.ts';
import {
  type Accelerator,
  type AcceleratorName,
  acceleratorOf,
  accelerators,
} from '../../toolchain/ethosu/accelerators.ts';
import { columnProductCycles, sram } from '../../toolchain/ethosu/cost.ts';
import { planLinear } from '../../toolchain/ethosu/linear-plan.ts';
import { tensorOf } from '../../toolchain/ir/graph.ts';
import { type Compiled, compile } from '../../toolchain/pipeline.ts';
import { buildReport } from '../../toolchain/report/build.ts';
import { grouped } from '../../toolchain/report/numbers.ts';
import type { ReportLayer } from '../../toolchain/report/schema.ts';
import { loadKernels } from '../../toolchain/schedule/kernels.ts';
import { npuOf } from '../../toolchain/schedule/npu-target.ts';
import { loadTarget, type Target } from '../../toolchain/targets.ts';
import { type ModelName, modelPath, models } from './models.ts';

const usage = `npm run bench npu -- [options]
  --model tiny                 BERT-tiny is the default; or mini
  --accelerators ethos-u55-128,ethos-u55-256    the default
  --tokens 64,128              the default
  --json                       one JSON object on stdout, and nothing else`;

/** The emulated board with the core and an NPU beside it. */
const board = 'mps3-an547-npu';

/**
 * Of a core that packs a key or value as a weight, a load, a sign and magnitude, and a shift in words of
 * four. Counted in the inner loop that gcc makes of kernels/c/pack_weights.c for a Cortex-M55.
 */
const packInstructions = 4;

/** Vela's softmax of int8 on a U55-256: 112,000 cycles for 4 × 64 × 64 elements (Vela 5.1.0). */
const velaSoftmaxCycles = 112_000 / (4 * 64 * 64);

interface Attention {
  readonly layer: string;
  /** On the core, with Helium. */
  readonly helium: number;
  /** Products on the NPU from weights that are packed at run time; the core packs and weighs. */
  readonly runTime: number;
  readonly runTimeParts: { readonly core: number; readonly packing: number; readonly npu: number };
  /** As Vela lowers it: a product and a sum for each column of the result; softmax on the NPU. */
  readonly vela: number;
}

interface Result {
  readonly accelerator: AcceleratorName;
  readonly tokens: number;
  readonly layers: readonly ReportLayer[];
  readonly attention: readonly Attention[];
  readonly totals: Readonly<Record<'coreAlone' | 'helium' | 'runTime' | 'vela', number>>;
}

try {
  main(parseOptions(process.argv.slice(2)));
} catch (error) {
  if (!(error instanceof Lm2mcuError)) throw error;
  console.error(formatError(error.details));
  process.exitCode = exitCodes[error.kind];
}

interface Options {
  readonly model: ModelName;
  readonly names: readonly AcceleratorName[];
  readonly tokens: readonly number[];
  readonly json: boolean;
}

function parseOptions(args: readonly string[]): Options {
  const text = { type: 'string' } as const;
  const options = {
    model: text,
    accelerators: text,
    tokens: text,
    json: { type: 'boolean' },
  } as const;
  const { values } = parseArgs({ args: [...args], options, strict: true });
  const model = models.find((one) => one === (values.model ?? 'tiny'));
  const tokens = (values.tokens ?? '64,128').split(',').map(Number);
  if (model === undefined || tokens.some((one) => !(one >= 2 && one <= 512))) {
    throw userError({
      code: 'bad-option',
      message: 'no such model or number of tokens',
      hint: usage,
    });
  }
  const names = (values.accelerators ?? 'ethos-u55-128,ethos-u55-256').split(',');
  return {
    model,
    names: names.map((name) => acceleratorOf(name).name as AcceleratorName),
    tokens,
    json: values.json ?? false,
  };
}

function main({ model, names, tokens, json }: Options): void {
  const folder = mkdtempSync(join(tmpdir(), 'lm2mcu-bench-models-'));
  try {
    const path = modelPath(model, folder);
    const results = names.flatMap((name) => tokens.map((count) => estimate(path, name, count)));
    if (json) console.log(JSON.stringify({ board, results }, null, 2));
    else for (const result of results) console.log(`${describe(result).join('\n')}\n`);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function estimate(path: string, accelerator: AcceleratorName, tokens: number): Result {
  const { npu, ...rest } = loadTarget(board);
  const target: Target = { ...rest, npu: { ...npu!, accelerator } };
  const request = { modelPath: path, maxTokens: tokens, calibration: null };
  const compiled = compile({ ...request, target });
  const { layers } = buildReport(compiled, null);
  const attention = attentionsOf(compiled, accelerators[accelerator], layers);
  const sum = (pick: (layer: ReportLayer) => number) =>
    layers.reduce((total, layer) => total + pick(layer), 0);
  const helium = sum(({ estimatedCycles }) => estimatedCycles);
  const instead = (pick: (one: Attention) => number) =>
    attention.reduce((total, one) => total - one.helium + pick(one), helium);
  return {
    accelerator,
    tokens,
    layers,
    attention,
    totals: {
      coreAlone: coreAlone(request),
      helium,
      runTime: instead(({ runTime }) => runTime),
      vela: instead(({ vela }) => vela),
    },
  };
}

/** The same board without an NPU, with the plan that is fastest there. */
function coreAlone(
  request: Pick<Parameters<typeof compile>[0], 'modelPath' | 'maxTokens' | 'calibration'>,
) {
  const compiled = compile({ ...request, target: loadTarget(board), goal: 'fastest' });
  return buildReport(compiled, null).compute.estimatedCycles;
}

/** Of attentions with many query rows. */
function attentionsOf(
  { program, target }: Compiled,
  accelerator: Accelerator,
  layers: readonly ReportLayer[],
): readonly Attention[] {
  const { graph, maxTokens: tokens } = program;
  const npu = npuOf(target, loadKernels())!;
  return layers.flatMap((layer): readonly Attention[] => {
    const node = graph.nodes.find(({ name, op }) => name === layer.name && op === 'attention');
    if (node?.op !== 'attention' || layer.rows === 1) return [];
    const { heads } = node.attrs;
    const [q, , v] = node.inputs.map((name) => tensorOf(graph, name).shape[1]);
    const [width, valueWidth] = [q! / heads, v! / heads];
    const plan = (inputs: number, outputs: number, outputBytes: 1 | 4) =>
      planLinear(accelerator, { rows: tokens, inputs, outputs, outputBytes, hasTable: false }, sram)
        .cycles.total;
    const products = heads * (plan(width, tokens, 1) + plan(tokens, valueWidth, 4));
    const core = withoutProducts(target, layer, heads, tokens);
    const packing = packInstructions * heads * tokens * (width + valueWidth);
    const onNpu = products + 2 * heads * npu.jobCoreCycles;
    const vela =
      heads *
      (columnProductCycles(accelerator, { rows: tokens, depth: width, columns: tokens }) +
        velaSoftmaxCycles * tokens * tokens +
        columnProductCycles(accelerator, { rows: tokens, depth: tokens, columns: valueWidth }));
    return [
      {
        layer: layer.name,
        helium: layer.estimatedCycles,
        runTime: core + packing + onNpu,
        runTimeParts: { core, packing, npu: onNpu },
        vela,
      },
    ];
  });
}

/** What the core's kernel takes besides its multiply-accumulates: weighing and scaling stay there. */
function withoutProducts(
  target: Target,
  layer: ReportLayer,
  heads: number,
  tokens: number,
): number {
  const [cost] = target.core.cost.kernels[layer.kernel!]!;
  const { row, element, score } = cost!.passes.at(-1)!;
  return layer.rows * (row + element * layer.columns + score * heads * tokens);
}

function describe({ accelerator, tokens, layers, attention, totals }: Result): readonly string[] {
  const row = (cells: readonly string[]) =>
    `  ${cells[0]!.padEnd(44)}${cells
      .slice(1)
      .map((cell) => cell.padStart(12))
      .join('')}`;
  const cycles = (value: number | null | undefined) => (value == null ? '-' : grouped(value));
  return [
    `${accelerator} beside a Cortex-M55, ${tokens} tokens: estimated cycles`,
    row(['layer', 'runs on', 'cycles', 'on core', 'on NPU']),
    ...layers
      .filter(({ op }) => op !== 'copy')
      .map(({ name, device, estimatedCycles, estimates }) =>
        row([
          name,
          device ?? 'core',
          cycles(estimatedCycles),
          cycles(estimates?.core),
          cycles(estimates?.npu),
        ]),
      ),
    ...attention.map(({ layer, helium, runTime, runTimeParts: { core, packing, npu }, vela }) =>
      [
        `  ${layer}: ${cycles(helium)} with Helium;`,
        `${cycles(runTime)} with run-time weights (core ${cycles(core)}, packing ${cycles(packing)}, NPU ${cycles(npu)});`,
        `${cycles(vela)} as Vela lowers it`,
      ].join(' '),
    ),
    `  whole inference: ${cycles(totals.coreAlone)} on the core alone; (a) NPU linears, Helium attention ${cycles(totals.helium)};`,
    `  (b) run-time weights (simulated only) ${cycles(totals.runTime)}; (c) attention as Vela lowers it ${cycles(totals.vela)}`,
  ];
}
