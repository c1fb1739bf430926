/** The page and the table of a search. */
import { describe, expect, test } from 'vitest';
import { frontTable, optionTable } from '../../toolchain/compress/front-text.ts';
import type { FrontPoint, MeasuredOption } from '../../toolchain/compress/search.ts';
import { renderDecoderPage } from '../../toolchain/report/compress-decoder-page.ts';
import { renderCompressPage } from '../../toolchain/report/compress-page.ts';

function point(bytes: number, drop: number | null, distance: number): FrontPoint {
  return {
    bytes,
    loss: { distance, hiddenCosine: 0.99, agreement: 0.98, accuracyDrop: drop, accuracy: null },
    interval: drop === null ? null : [drop - 0.001, drop + 0.001],
    ...{ word: 'codebooks, 6 B', wordBytes: 190_000, position: 'int8 rows', int4: 3 },
    ...{ matrices: 4, dropped: 7, choice: [] },
  };
}

const options: readonly MeasuredOption[] = [
  {
    ...{ part: 'word table', name: '<b>', bytes: 10.4, loss: 0.5, hiddenCosine: 0.97 },
    ...{ agreement: 1, accuracyDrop: null },
  },
];
const page = (front: readonly FrontPoint[]) =>
  renderCompressPage({
    ...{ model: 'a <model>', target: 'a board', maxTokens: 64, budgetBytes: 2 ** 20 },
    ...{ maxDrop: 0.005, front, chosen: front[0]!, options },
  });

describe.each([
  ['losses and gains', [point(500_000, 0.01, 0.02), point(900_000, -0.002, 0)]],
  ['one point', [point(500_000, 0, 0)]],
  ['no labels', [point(500_000, null, 0.3), point(600_000, null, 0.1)]],
] as const)('%s', (_name, front) => {
  test('every point is drawn twice and listed once, whatever its values', () => {
    const html = page(front);
    expect(html.match(/<circle /g)).toHaveLength(2 * front.length);
    expect(html).not.toMatch(/NaN|Infinity|undefined/);
    for (const { bytes } of front) expect(html).toContain(bytes.toLocaleString('en-US'));
  });

  test('the table on the terminal marks the choice', () => {
    const lines = frontTable(front, front[0]!).split('\n');
    expect(lines).toHaveLength(1 + front.length);
    expect(lines.filter((line) => line.startsWith('>'))).toHaveLength(1);
  });
});

test('names are text; nothing is run or loaded', () => {
  const html = page([point(500_000, 0.01, 0.02)]);
  expect(html).toContain('a &lt;model&gt;');
  expect(html).toContain('&lt;b&gt;');
  expect(html).not.toMatch(/<script|https?:\/\//);
});

test('options alone', () => {
  expect(optionTable(options)).toMatch(
    /word table {2}<b> {5}10 {5}0\.50000 {3}0\.9700 {9}100\.00 %/,
  );
});

test('a decoder’s: every combination is drawn and listed, every matrix listed', () => {
  const front = [0, 0.012, -0.001].map((rise, index) => ({
    ...{ matrices: ['<a>', 'b'].slice(0, index), savedBytes: 1000 * index },
    ...{ perplexity: 30 * (1 + rise), rise, bytes: 600_000 - 1000 * index },
  }));
  const html = renderDecoderPage({
    ...{ model: 'a <model>', target: 'a board', maxTokens: 64, maxRise: 0.04, budgetBytes: null },
    ...{ front, chosen: front[1]!, options: [{ name: '<a>', savedBytes: 1000, rise: 0.012 }] },
  });
  expect(html.match(/<circle /g)).toHaveLength(front.length);
  expect(html.match(/▸/g)).toHaveLength(1);
  for (const text of ['600,000', '598,000', '1.20', '-0.10', '&lt;a&gt;', 'a &lt;model&gt;']) {
    expect(html).toContain(text);
  }
  expect(html).not.toMatch(/NaN|Infinity|undefined|<script|https?:\/\//);
});
