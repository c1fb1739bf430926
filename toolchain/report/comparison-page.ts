/** Images of one model by what they cost and how many bytes they have: a page, and its picture. */
import { type Axis, axis } from './axes.ts';
import { html, type Markup } from './markup.ts';
import { bytes, grouped } from './numbers.ts';
import { pageHead } from './page-head.ts';

export interface ComparisonPage {
  readonly title: string;
  readonly about: string;
  readonly sections: readonly (readonly [heading: string, content: Markup])[];
}

export function comparisonPage({ title, about, sections }: ComparisonPage): string {
  const page = html`<!doctype html>
<html lang="en">
${pageHead({ title })}
<body>
<header><h1>${title}</h1><p>${about}</p></header>
<main>
${sections.map(
  ([heading, content]) => html`<section><h2>${heading}</h2>${content}</section>
`,
)}</main>
</body>
</html>
`;
  return page.markup;
}

export interface FrontPicture {
  /** Of what the picture has from bottom to top. */
  readonly name: string;
  readonly text: (value: number) => string;
  readonly points: readonly {
    readonly bytes: number;
    readonly value: number;
    readonly isChosen: boolean;
    readonly title: string;
  }[];
}

const WIDTH = 1120;
const HEIGHT = 360;
const LEFT = 82;
const RIGHT = 20;
const TOP = 24;
const BOTTOM = 46;

export function frontPicture(picture: FrontPicture): Markup {
  const { name, text } = picture;
  const x = axis(
    picture.points.map((point) => point.bytes),
    [LEFT + 18, WIDTH - RIGHT - 18],
    [LEFT, WIDTH - RIGHT],
  );
  const y = axis(
    picture.points.map((point) => point.value),
    [HEIGHT - BOTTOM - 14, TOP + 14],
    [HEIGHT - BOTTOM, TOP],
  );
  const points = picture.points.map((point) => ({
    ...point,
    x: x.at(point.bytes),
    y: y.at(point.value),
  }));
  const path = points.map(
    ({ x, y }, index) => `${index === 0 ? 'M' : 'L'}${x.toFixed(1)} ${y.toFixed(1)}`,
  );
  return html`<svg class="front" viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${`${name} by bytes, ${points.length} points`}">
${grid(x, y, picture)}
<path class="steps" d="${path.join('')}"/>
${points.map(({ x, y, value, isChosen, ...point }) => {
  const label = `${bytes(point.bytes)}: ${text(value)} ${name}; ${point.title}`;
  return html`<g class="${isChosen ? 'plan chosen' : 'plan'}" tabindex="0" role="img" aria-label="${label}"><title>${label}</title><circle cx="${x}" cy="${y}" r="${isChosen ? 7 : 4.5}"/></g>`;
})}
</svg>`;
}

function grid(x: Axis, y: Axis, { name, text }: FrontPicture): Markup {
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

/** In one line. */
export function unbroken(text: string): string {
  return text.replaceAll(' ', '\u00a0');
}
