/**
 * `npm run bench npu`: estimated cycles of each layer on a Cortex-M55 with an Ethos-U, with three ways
 * to attend. Nothing here is timed: the core's part comes from instructions counted under QEMU, the
 * NPU's from the formulas of Vela's performance model.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { runProgram } from '../../toolchain/emulate/program.ts';
import { exitCodes, formatError, Lm2mcuError, userError } from '../../toolchain/errors.ts';
import {
  type Accelerator,
  type AcceleratorName,
  acceleratorOf,
  accelerators,
} from '../../toolchain/ethosu/accelerators.ts';
import { tensorOf } from '../../toolchain/ir/graph.ts';
import { type Compiled, compile } from '../../toolchain/pipeline.ts';
import { buildReport } from '../../toolchain/report/build.ts';
import { grouped } from '../../toolchain/report/numbers.ts';
import type { ReportLayer } from '../../toolchain/report/schema.ts';
import { loadTarget, type Target } from '../../toolchain/targets.ts';
import { columnProductCycles } from './column-product.ts';
import { type ModelName, modelPath, models } from './models.ts';

const usage = `npm run bench npu -- [options]
  --model tiny                 BERT-tiny is the default; or mini
  --accelerators ethos-u55-128,ethos-u55-256    the default
  --tokens 64,128              the default
  --json                       one JSON object on stdout, and nothing else`;

/** The emulated board with the core, and an NPU of any size beside it. */
const board = 'mps3-an547-npu';

/** Vela's softmax of int8 on a U55-256: 112,000 cycles for 4 × 64 × 64 elements (Vela 5.1.0). */
const velaSoftmaxCycles = 112_000 / (4 * 64 * 64);

interface Attention {
  readonly layer: string;
  /** On the core, with Helium. */
  readonly helium: number;
  /** As Vela lowers it: a product and a sum for each column of the result; softmax on the NPU. */
  readonly vela: number;
}

interface Result {
  readonly accelerator: AcceleratorName;
  readonly tokens: number;
  /** Linear layers on the NPU, attention with Helium. */
  readonly layers: readonly ReportLayer[];
  readonly attention: readonly Attention[];
  /** With run-time weights allowed: the plan may be another, and then they may not pay. */
  readonly runTime: readonly ReportLayer[];
  /** One inference on this host: jobs in the simulator, the core's calls by the interpreter. */
  readonly simulation: { readonly npuMacs: number; readonly ms: number };
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
  const request = { modelPath: path, maxTokens: tokens, calibration: null };
  const { npu: any, ...core } = loadTarget(board);
  const { runTimeWeights: _runTimeWeights, ...npu } = any!;
  const withNpu: Target = { ...core, npu: { ...npu, accelerator } };
  const compiled = compile({ ...request, target: withNpu });
  const { layers, compute } = buildReport(compiled, null);
  const attention = attentionsOf(compiled, accelerators[accelerator], layers);
  const helium = cyclesOf(layers);
  const runTimeWeights = 'simulated-only' as const;
  const products: Target = { ...core, npu: { ...npu, accelerator, runTimeWeights } };
  const runTime = buildReport(compile({ ...request, target: products }), null).layers;
  return {
    accelerator,
    tokens,
    layers,
    attention,
    runTime,
    simulation: { npuMacs: compute.npu!.macs, ms: simulationMs(compiled) },
    totals: {
      coreAlone: cyclesOf(
        buildReport(compile({ ...request, target: core, goal: 'fastest' }), null).layers,
      ),
      helium,
      runTime: cyclesOf(runTime),
      vela: attention.reduce((total, one) => total - one.helium + one.vela, helium),
    },
  };
}

/** Of the second run: the first encodes the weights. */
function simulationMs({ program }: Compiled): number {
  const tokens = { ids: new Int32Array(program.maxTokens), segmentStart: program.maxTokens };
  runProgram(program, tokens);
  const start = performance.now();
  runProgram(program, tokens);
  return performance.now() - start;
}

function cyclesOf(layers: readonly ReportLayer[]): number {
  return layers.reduce((total, { estimatedCycles }) => total + estimatedCycles, 0);
}

/** Of attentions with many query rows. */
function attentionsOf(
  { program }: Compiled,
  accelerator: Accelerator,
  layers: readonly ReportLayer[],
): readonly Attention[] {
  const { graph, maxTokens: rows } = program;
  return layers.flatMap((layer): readonly Attention[] => {
    const node = graph.nodes.find(({ name, op }) => name === layer.name && op === 'attention');
    if (node?.op !== 'attention' || layer.rows === 1) return [];
    const { heads } = node.attrs;
    const [q, , v] = node.inputs.map((name) => tensorOf(graph, name).shape[1]);
    const vela =
      heads *
      (columnProductCycles(accelerator, { rows, depth: q! / heads, columns: rows }) +
        velaSoftmaxCycles * rows * rows +
        columnProductCycles(accelerator, { rows, depth: rows, columns: v! / heads }));
    return [{ layer: layer.name, helium: layer.estimatedCycles, vela }];
  });
}

function describe(result: Result): readonly string[] {
  const { accelerator, tokens, layers, attention, runTime, simulation, totals } = result;
  const products = runTime.filter(({ op, rows }) => op === 'attention' && rows > 1);
  const list = products.map(
    ({ name, device, estimatedCycles }) =>
      `${name} ${grouped(estimatedCycles)} (${device === 'npu' ? 'products on the NPU' : 'on the core'})`,
  );
  return [
    `${accelerator} beside a Cortex-M55, ${tokens} tokens: estimated cycles`,
    row(['layer', 'runs on', 'cycles', 'on core', 'on NPU']),
    ...layers
      .filter(({ op }) => op !== 'copy')
      .map(({ name, device, estimatedCycles, estimates }) =>
        row([
          name,
          device ?? 'core',
          grouped(estimatedCycles),
          cycles(estimates?.core),
          cycles(estimates?.npu),
        ]),
      ),
    ...attention.map(
      ({ layer, helium, vela }) =>
        `  ${layer}: ${grouped(helium)} with Helium, ${grouped(vela)} as Vela lowers it`,
    ),
    `  with run-time weights (simulated only): ${list.join(', ')}`,
    `  simulated here: ${grouped(simulation.npuMacs)} MAC of the NPU, and the core's calls, in ${grouped(simulation.ms)} ms`,
    `  whole inference: ${grouped(totals.coreAlone)} on the core alone;`,
    `    (a) linear layers on the NPU, attention with Helium  ${grouped(totals.helium)}`,
    `    (b) with run-time weights, where they pay            ${grouped(totals.runTime)}`,
    `    (c) as (a), attention as Vela lowers it              ${grouped(totals.vela)}`,
  ];
}

function row([first, ...others]: readonly string[]): string {
  return `  ${first!.padEnd(40)}${others.map((cell) => cell.padStart(12)).join('')}`;
}

function cycles(value: number | null | undefined): string {
  return value == null ? '-' : grouped(value);
}
