/** The search for a recipe as one HTML page: the Pareto front, and what each option does alone. */
import { createHash } from 'node:crypto';
import { dropOf } from '../compress/choose.ts';
import type { FrontPoint, MeasuredOption } from '../compress/search.ts';
import { type Axis, axis } from './axes.ts';
import { html, type Markup } from './markup.ts';
import { bytes, grouped } from './numbers.ts';
import { pageStyle } from './page-style.ts';

export interface CompressPage {
  readonly model: string;
  readonly target: string;
  readonly maxTokens: number;
  readonly budgetBytes: number;
  readonly maxDrop: number;
  readonly chosen: FrontPoint;
  readonly front: readonly FrontPoint[];
  readonly options: readonly MeasuredOption[];
}

export function renderCompressPage(page: CompressPage): string {
  const title = `${page.model}: bytes against answers`;
  const loss = html`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<link rel="icon" href="data:,">
<title>${title}</title>
<style>${{ markup: pageStyle }}</style>
</head>
<body>
<header><h1>${title}</h1><p>${`For ${page.target}, texts of up to ${page.maxTokens} tokens. Bytes are of the whole image, predicted; where it was emitted, with its real tables and weights.`}</p></header>
<main>
<section><h2>Points of accuracy lost</h2>${picture(page, pointsLost)}</section>
<section><h2>Change of the outputs</h2>${picture(page, distance)}</section>
<section><h2>The front</h2>${frontTable(page)}</section>
<section><h2>Each option alone</h2>${optionTable(page.options)}</section>
</main>
</body>
</html>
`;
  return loss.markup;
}

const policy = `default-src 'none'; style-src 'sha256-${createHash('sha256').update(pageStyle).digest('base64')}'; img-src data:`;

/** What the picture has from bottom to top. */
interface Measure {
  readonly name: string;
  readonly of: (point: FrontPoint, page: CompressPage) => number;
  readonly text: (value: number) => string;
}

const pointsLost: Measure = {
  name: 'points lost',
  of: (point, { front }) => 100 * dropOf(point, front),
  text: (value) => value.toFixed(2),
};
const distance: Measure = {
  name: 'distance',
  of: ({ loss }) => Math.max(loss.distance, 1e-6),
  text: (value) => value.toPrecision(2),
};

const WIDTH = 1120;
const HEIGHT = 360;
const LEFT = 82;
const RIGHT = 20;
const TOP = 24;
const BOTTOM = 46;

function picture(page: CompressPage, measure: Measure): Markup {
  const { front, chosen } = page;
  const values = front.map((point) => measure.of(point, page));
  const x = axis(
    front.map((point) => point.bytes),
    [LEFT + 18, WIDTH - RIGHT - 18],
    [LEFT, WIDTH - RIGHT],
  );
  const y = axis(values, [HEIGHT - BOTTOM - 14, TOP + 14], [HEIGHT - BOTTOM, TOP]);
  const points = front.map((point, index) => ({
    point,
    x: x.at(point.bytes),
    y: y.at(values[index]!),
  }));
  const path = points.map(
    ({ x, y }, index) => `${index === 0 ? 'M' : 'L'}${x.toFixed(1)} ${y.toFixed(1)}`,
  );
  return html`<svg class="front" viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${`${measure.name} by bytes, ${front.length} points`}">
${grid(x, y, measure)}
<path class="steps" d="${path.join('')}"/>
${points.map(({ point, x, y }, index) => {
  const isChosen = point === chosen;
  const text = `${bytes(point.bytes)}: ${measure.text(values[index]!)} ${measure.name}; word table ${point.word}`;
  return html`<g class="${isChosen ? 'plan chosen' : 'plan'}" tabindex="0" role="img" aria-label="${text}"><title>${text}</title><circle cx="${x}" cy="${y}" r="${isChosen ? 7 : 4.5}"/></g>`;
})}
</svg>`;
}

function grid(x: Axis, y: Axis, { name, text }: Measure): Markup {
  const bottom = HEIGHT - BOTTOM;
  const right = WIDTH - RIGHT;
  return html`${x.ticks.map(
    (value) =>
      html`<line class="grid" x1="${x.at(value)}" x2="${x.at(value)}" y1="${TOP}" y2="${bottom}"/><text class="small" x="${x.at(value)}" y="${bottom + 16}" text-anchor="middle">${grouped(value)}</text>`,
  )}${y.ticks.map(
    (value) =>
      html`<line class="grid" x1="${LEFT}" x2="${right}" y1="${y.at(value)}" y2="${y.at(value)}"/><text class="small" x="${LEFT - 6}" y="${y.at(value) + 4}" text-anchor="end">${text(value)}</text>`,
  )}<path class="axes" d="M${LEFT} ${TOP}V${bottom}H${right}"/>
<text class="small" x="${right}" y="${HEIGHT - 8}" text-anchor="end">bytes of the image</text><text class="small" x="4" y="14">${name}</text>`;
}

function frontTable({ front, chosen, budgetBytes, maxDrop }: CompressPage): Markup {
  return html`<p>${`Chosen within ${bytes(budgetBytes)} and ${(100 * maxDrop).toFixed(2)} points. The interval is the middle 95 % of a paired bootstrap over the texts.`}</p>
<table><thead><tr><th>image</th><th>points lost</th><th>95 %</th><th>agreement</th><th>distance</th><th>hidden cosine</th><th>word table</th><th>position table</th><th>int4 matrices</th><th>tokens dropped</th></tr></thead><tbody>
${front.map(
  (point) =>
    html`<tr><td>${unbroken(`${point === chosen ? '▸ ' : ''}${bytes(point.bytes)}`)}</td><td>${points(point.loss.accuracyDrop)}</td><td>${point.interval === null ? '' : unbroken(`${points(point.interval[0])} … ${points(point.interval[1])}`)}</td><td>${`${(100 * point.loss.agreement).toFixed(2)} %`}</td><td>${point.loss.distance.toFixed(4)}</td><td>${point.loss.hiddenCosine.toFixed(4)}</td><td>${`${point.word} (${unbroken(bytes(point.wordBytes))})`}</td><td>${point.position}</td><td>${`${point.int4} of ${point.matrices}`}</td><td>${grouped(point.dropped)}</td></tr>`,
)}
</tbody></table>`;
}

function optionTable(options: readonly MeasuredOption[]): Markup {
  return html`<table><thead><tr><th>part</th><th>option</th><th>bytes</th><th>distance</th><th>hidden cosine</th><th>agreement</th><th>points lost</th></tr></thead><tbody>
${options.map(
  ({ part, name, bytes: size, loss, hiddenCosine, agreement, accuracyDrop }) =>
    html`<tr><td>${part}</td><td>${name}</td><td>${grouped(Math.round(size))}</td><td>${loss.toFixed(5)}</td><td>${hiddenCosine.toFixed(4)}</td><td>${`${(100 * agreement).toFixed(2)} %`}</td><td>${points(accuracyDrop)}</td></tr>`,
)}
</tbody></table>`;
}

/** In one line. */
function unbroken(text: string): string {
  return text.replaceAll(' ', '\u00a0');
}

function points(share: number | null): string {
  return share === null ? '' : (100 * share).toFixed(2);
}
