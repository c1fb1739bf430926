/**
 * Text, Markdown and diffs of one stored report, byte for byte. `BLESS=1` rewrites the expectations.
 * The stored report itself is only a sample: nothing compares it with today's compiler.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { packagePath } from '../../toolchain/package-root.ts';
import { diffReports } from '../../toolchain/report/diff.ts';
import { renderDiff, renderReport } from '../../toolchain/report/render.ts';
import type { Report } from '../../toolchain/report/schema.ts';
import { hostileReport, overfullReport, storedDecoderReport, storedReport } from './reports.ts';

function expectGolden(name: string, actual: string): void {
  const path = packagePath('test', 'report', 'golden', name);
  if (process.env['BLESS'] === '1') writeFileSync(path, actual);
  expect(actual, 'BLESS=1 rewrites the expectation').toBe(readFileSync(path, 'utf8'));
}

/** As if nothing had been linked. */
function libraryReport(): Report {
  const report = storedReport();
  return {
    ...report,
    flash: { ...report.flash, usedBytes: null, codeBytes: null, otherBytes: null },
    sram: { ...report.sram, peakBytes: null, staticBytes: null, stackBytes: null },
    regions: report.regions.map((region) => ({ ...region, usedBytes: null })),
    stack: null,
  };
}

/** Another plan: fewer tokens, a layer more expensive, one gone, one new. */
function changedReport(): Report {
  const report = storedReport();
  return {
    ...report,
    maxTokens: 32,
    plan: { ...report.plan, text: 'another plan' },
    sram: { ...report.sram, arenaBytes: report.sram.arenaBytes - 1024, peakBytes: null },
    layers: report.layers.slice(1).map((layer, index) => ({
      ...layer,
      name: index === 0 ? 'new.layer' : layer.name,
      estimatedCycles: index === 2 ? layer.estimatedCycles * 2 : layer.estimatedCycles,
    })),
  };
}

test('text', () => expectGolden('report.txt', renderReport(storedReport(), 'text')));
test('text, in colour', () =>
  expectGolden('report-color.txt', renderReport(storedReport(), 'text', { color: true })));
test('text of a library', () => expectGolden('library.txt', renderReport(libraryReport(), 'text')));
test('text where a region is too small', () =>
  expectGolden('overfull.txt', renderReport(overfullReport(), 'text')));
test('Markdown', () => expectGolden('report.md', renderReport(storedReport(), 'md')));
test('text of a model that generates', () =>
  expectGolden('decoder.txt', renderReport(storedDecoderReport(), 'text')));
test('Markdown of a model that generates', () =>
  expectGolden('decoder.md', renderReport(storedDecoderReport(), 'md')));
test('diff as text', () => {
  const diff = diffReports(storedReport(), changedReport());
  expectGolden('diff.txt', renderDiff(diff, 'text'));
});
test('diff as Markdown', () => {
  const diff = diffReports(storedReport(), overfullReport());
  expectGolden('diff.md', renderDiff(diff, 'md'));
});

test('nothing changed', () => {
  const diff = diffReports(storedReport(), storedReport());
  expect(diff.layers).toEqual([]);
  expect(diff.broken).toEqual([]);
  expect(diff.totals.every(({ before, after }) => before === after)).toBe(true);
});

test('text fits into 80 columns and has no colour unless asked', () => {
  for (const report of [storedReport(), overfullReport(), libraryReport(), hostileReport()]) {
    const text = renderReport(report, 'text');
    expect(text).not.toContain('\u001b');
    for (const line of text.split('\n').slice(4)) expect([...line].length).toBeLessThanOrEqual(80);
  }
});

test('names of the model cannot command the terminal, Markdown or HTML', () => {
  const report = hostileReport();
  const expectNone = (output: string, ...forbidden: readonly string[]): void => {
    for (const text of [...forbidden, '\u001b', '\u202e']) expect(output).not.toContain(text);
  };
  expectNone(renderReport(report, 'text'));
  expectNone(renderReport(report, 'md'), '<img', '</script', ' |`', '@');
  const html = renderReport(report, 'html');
  expectNone(html, '<img');
  expect(html.match(/<\/script>/g)).toHaveLength(2);
});
