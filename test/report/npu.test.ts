/** What reports say of boards with an NPU. */
import { describe, expect, test } from 'vitest';
import { buildReport } from '../../toolchain/report/build.ts';
import { renderReport } from '../../toolchain/report/render.ts';
import { parseReport } from '../../toolchain/report/schema.ts';
import { compiledFixture, linkedOf } from './reports.ts';

const compiled = compiledFixture('tokcls-relu', 'mps3-an547-npu', 48);
const report = buildReport(compiled, linkedOf(compiled));

test('layers add up to what the NPU does', () => {
  const { layers, compute } = report;
  const made = layers.filter(({ device }) => device === 'npu');
  const sum = (of: (layer: (typeof layers)[number]) => number) =>
    made.reduce((total, layer) => total + of(layer), 0);
  expect(made.length).toBeGreaterThan(0);
  expect(compute.npu).toMatchObject({
    accelerator: report.target.npu,
    macs: sum(({ macs }) => macs),
    estimatedCycles: sum(({ estimatedCycles }) => estimatedCycles),
    coreCycles: sum(({ estimates }) => estimates!.core),
  });
  // It gets what it is faster at, all in all.
  expect(compute.npu!.estimatedCycles).toBeLessThan(compute.npu!.coreCycles);
  expect(compute.npu!.runs).toBeGreaterThanOrEqual(compute.npu!.jobs);
});

test('constants of the NPU count as those of the encoder, and are there once', () => {
  const made = report.layers.filter(({ device }) => device === 'npu');
  expect(made.every(({ weightBytes }) => weightBytes > 0)).toBe(true);
  const sources = compiled.sources.map(({ content }) => content).join('\n');
  for (const { name } of made.filter(({ op }) => op === 'linear')) {
    expect(sources).not.toContain(`${name.replaceAll('.', '_')}_weights[`);
  }
});

describe.each(['text', 'md', 'html'] as const)('%s', (format) => {
  test('says which layers it makes and what estimates them', () => {
    const text = renderReport(report, format).replaceAll(/\s+/g, ' ');
    expect(text).toContain('NPU');
    expect(text).toContain('performance model for ethos-u55-');
  });
});

test('what is written is read back', () => {
  expect(parseReport(renderReport(report, 'json'))).toEqual(report);
});
