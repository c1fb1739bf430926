/** `lm2mcu npu check`: golden Ethos-U streams against the simulator, the lint and the weight codec. */
import type { Checked } from '../emulate/ethosu/check.ts';
import { defineCommand } from './command.ts';
import { alignColumns } from './targets.ts';

export const npuCommand = defineCommand({
  usage: 'npu <action> <folder>',
  summary: 'Check golden Ethos-U command streams: decode, lint, simulate, compare',
  positionals: {
    action: { type: 'string', demandOption: true, choices: ['check'], describe: 'What to do' },
    folder: {
      type: 'string',
      demandOption: true,
      describe: 'io/ and <version>/<accelerator>/X.json, X.cms.bin, X.flash.bin',
    },
  },
  options: {},
  examples: [
    ['lm2mcu npu check test/fixtures/ethosu', 'Passed and total of each set, and each difference'],
    ['lm2mcu npu check test/fixtures/ethosu --json', 'The same for a program'],
  ],
  async run({ folder }, { progress }) {
    // Loaded when it is asked for: every command would start a tenth later.
    const { checkPlace } = await import('../emulate/ethosu/check.ts');
    const { listGoldens } = await import('../emulate/ethosu/golden.ts');
    const places = listGoldens(folder);
    const all = places.map((place, index) => {
      progress.report('check', index, places.length);
      return checkPlace(place);
    });
    progress.report('check', places.length, places.length);
    const checked = all.filter((of) => of !== null);
    const result = summarize(checked, all.length - checked.length);
    return { json: result, text: describe(result), exitCode: result.failed > 0 ? 1 : 0 };
  },
});

function summarize(models: readonly Checked[], withoutNpu: number) {
  const count = (of: readonly Checked[], outcome: Checked['outcome']) =>
    of.filter((model) => model.outcome === outcome).length;
  const totals = (of: readonly Checked[]) => ({
    passed: count(of, 'passed'),
    failed: count(of, 'failed'),
    total: count(of, 'passed') + count(of, 'failed'),
    /** Decoded, linted and simulated, with nothing to compare the bytes with. */
    unchecked: count(of, 'unchecked'),
  });
  const names = [...new Set(models.map(({ set }) => set))];
  const streams = models.flatMap(({ weightStreams }) => weightStreams);
  const sum = (of: (stream: (typeof streams)[number]) => number) =>
    streams.reduce((total, stream) => total + of(stream), 0);
  return {
    ...totals(models),
    withoutNpu,
    sets: names.map((set) => ({ set, ...totals(models.filter((model) => model.set === set)) })),
    weights: {
      streams: streams.length,
      goldenBytes: sum(({ goldenBytes }) => goldenBytes),
      ownBytes: sum(({ ownBytes }) => ownBytes),
      /** Of one stream. */
      largestRatio: streams.reduce(
        (most, { ownBytes, goldenBytes }) => Math.max(most, ownBytes / goldenBytes),
        0,
      ),
    },
    macs: models.reduce((total, { macs }) => total + macs, 0),
    simulationMs: models.reduce((total, { simulationMs }) => total + simulationMs, 0),
    models,
  };
}

function describe(result: ReturnType<typeof summarize>): string {
  const { sets, weights, models, passed, total, macs, simulationMs, withoutNpu } = result;
  const percent = (share: number) => `${(100 * share).toFixed(1)} %`;
  const failures = models.flatMap(({ set, model, differences }) =>
    differences.map((difference) => `failed      ${set} ${model}: ${difference}`),
  );
  const rows = sets.map((of) => [
    of.set,
    `${of.passed} / ${of.total}`,
    of.unchecked === 0 ? '' : `and ${of.unchecked} without expected bytes`,
  ]);
  return [
    ...failures,
    alignColumns(rows),
    ...(weights.streams === 0
      ? []
      : [
          `weights     ${weights.streams} streams decode; ours take ${percent(weights.ownBytes / weights.goldenBytes)} of their bytes, at most ${percent(weights.largestRatio)} of one`,
        ]),
    `simulated   ${macs.toLocaleString('en-US')} MAC in ${simulationMs.toFixed(0)} ms`,
    ...(withoutNpu === 0 ? [] : [`left out    ${withoutNpu} models with nothing on the NPU`]),
    `passed      ${passed} / ${total}`,
  ].join('\n');
}
