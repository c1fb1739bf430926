/**
 * The plans as a picture: estimated instructions from left to right, bytes of arena from bottom to
 * top. What lies right of and above the steps is worse than some plan on them.
 *
 *   │  ● fastest
 *   ├──┼──────────── room of the region ──
 *   │  └──◉ chosen
 *   │     └────────────● smallest
 *   └──────────────────────────────────────
 */
import { type Axis, axis } from './axes.ts';
import { html, type Markup } from './markup.ts';
import { arenaLimit, bytes, short } from './numbers.ts';
import type { PlanOfFront, Report } from './schema.ts';

const WIDTH = 1120;
const HEIGHT = 400;
const LEFT = 82;
const RIGHT = 10;
const TOP = 34;
const BOTTOM = 46;
/** An average letter of the labels' font at 11 units, on the wide side (DejaVu Sans). */
const LETTER = 6.9;
const LINE = 14;

interface Point {
  readonly plan: PlanOfFront;
  readonly x: number;
  readonly y: number;
  readonly roles: readonly Role[];
}

type Role = 'chosen' | 'fastest' | 'smallest';

interface Label {
  readonly text: string;
  readonly x: number;
  readonly y: number;
  readonly isChosen: boolean;
}

export function frontPicture(report: Report): Markup {
  const { front } = report.plan;
  const limitBytes = arenaLimit(report);
  // Room for labels on the right; and above, where they stand over their points.
  const x = axis(
    front.map(({ instructions }) => instructions),
    [LEFT + 18, WIDTH - RIGHT - 210],
    [LEFT, WIDTH - RIGHT],
  );
  const y = axis(
    heights(front, limitBytes),
    [HEIGHT - BOTTOM - 18, TOP + 26],
    [HEIGHT - BOTTOM, TOP],
  );
  const points = front.map((plan): Point => {
    return {
      plan,
      x: x.at(plan.instructions),
      y: y.at(plan.arenaBytes),
      roles: rolesOf(report, plan),
    };
  });
  const labels = labelsOf(points);
  const summary = `${front.length} plans; ${bytes(report.plan.arenaBytes)} of arena and about ${short(report.plan.estimatedInstructions)} instructions were chosen.`;
  return html`<svg class="front" viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-labelledby="front-title front-summary">
<title id="front-title">Plans by memory and work</title><desc id="front-summary">${summary}</desc>
${grid(x, y)}
${limit(report, limitBytes, y, labels)}
<path class="steps" d="${steps(points)}"/>
${points.map((point) => dot(point, limitBytes))}
${labels.map(({ text, x, y, isChosen }) => html`<text class="${isChosen ? 'chosen-text' : 'point-text'}" x="${x}" y="${y}">${text}</text>`)}
</svg>`;
}

function rolesOf(
  { plan: { front } }: Report,
  { arenaBytes, instructions, isChosen }: PlanOfFront,
): readonly Role[] {
  const isSmallest = front.every((other) => other.arenaBytes >= arenaBytes);
  const isFastest = front.every((other) => other.instructions >= instructions);
  return [
    ...(isChosen ? (['chosen'] as const) : []),
    ...(isFastest ? (['fastest'] as const) : []),
    ...(isSmallest ? (['smallest'] as const) : []),
  ];
}

/** A limit far above all plans is told in words; it would press them together. */
function isNear(front: readonly PlanOfFront[], limitBytes: number): boolean {
  const largest = Math.max(...front.map(({ arenaBytes }) => arenaBytes));
  return limitBytes > 0 && limitBytes <= 2 * largest;
}

function heights(front: readonly PlanOfFront[], limitBytes: number): readonly number[] {
  const own = front.map(({ arenaBytes }) => arenaBytes);
  return isNear(front, limitBytes) ? [...own, limitBytes] : own;
}

function grid(x: Axis, y: Axis): Markup {
  const bottom = HEIGHT - BOTTOM;
  const right = WIDTH - RIGHT;
  return html`${x.ticks.map(
    (value) =>
      html`<line class="grid" x1="${x.at(value)}" x2="${x.at(value)}" y1="${TOP}" y2="${bottom}"/><text class="small" x="${x.at(value)}" y="${bottom + 16}" text-anchor="middle">${short(value)}</text>`,
  )}${y.ticks.map(
    (value) =>
      html`<line class="grid" x1="${LEFT}" x2="${right}" y1="${y.at(value)}" y2="${y.at(value)}"/><text class="small" x="${LEFT - 6}" y="${y.at(value) + 4}" text-anchor="end">${bytes(value)}</text>`,
  )}<path class="axes" d="M${LEFT} ${TOP}V${bottom}H${right}"/>
<text class="small" x="${right}" y="${HEIGHT - 8}" text-anchor="end">instructions of an inference (estimate)</text><text class="small" x="4" y="14">arena</text>`;
}

/** From plan to plan: more instructions bring nothing until the next plan's are reached. */
function steps(points: readonly Point[]): string {
  const round = (value: number): number => Math.round(value * 100) / 100;
  return points
    .toSorted((a, b) => a.x - b.x)
    .map(
      ({ x, y }, index) =>
        `${index === 0 ? 'M' : 'H'}${round(x)}${index === 0 ? ' ' : 'V'}${round(y)}`,
    )
    .join('');
}

function dot({ plan, x, y, roles }: Point, limitBytes: number): Markup {
  const fits = plan.arenaBytes <= limitBytes;
  const isChosen = roles.includes('chosen');
  const text = `${plan.text}: ${bytes(plan.arenaBytes)}, about ${short(plan.instructions)} instructions${fits ? '' : ', does not fit'}`;
  const kind = [isChosen ? 'chosen' : '', fits ? 'in' : 'out'].join(' ').trim();
  return html`<g class="plan ${kind}" tabindex="0" role="img" aria-label="${text}"><title>${text}</title><circle cx="${x}" cy="${y}" r="${isChosen ? 7 : 4.5}"/></g>`;
}

/** Of the plans with a name; right of and above its point, where no other point can be. */
function labelsOf(points: readonly Point[]): readonly Label[] {
  const named = points
    .filter(({ roles }) => roles.length > 0)
    .toSorted((a, b) => Number(b.roles.includes('chosen')) - Number(a.roles.includes('chosen')));
  const labels: Label[] = [];
  for (const { plan, x, y, roles } of named) {
    const text = `${roles.join(', ')}: ${bytes(plan.arenaBytes)}, ${short(plan.instructions)}`;
    const left = Math.min(x + 10, WIDTH - RIGHT - text.length * LETTER);
    const label = { text, x: left, y: y - 8, isChosen: roles.includes('chosen') };
    if (labels.every((other) => !overlap(label, other))) labels.push(label);
  }
  return labels;
}

function overlap(a: Pick<Label, 'text' | 'x' | 'y'>, b: Pick<Label, 'text' | 'x' | 'y'>): boolean {
  const meets = (start: number, size: number, other: number, otherSize: number): boolean =>
    start < other + otherSize && other < start + size;
  return (
    meets(a.x, a.text.length * LETTER, b.x, b.text.length * LETTER) && meets(a.y, LINE, b.y, LINE)
  );
}

function limit(report: Report, limitBytes: number, y: Axis, labels: readonly Label[]): Markup {
  const { front } = report.plan;
  const right = WIDTH - RIGHT;
  const text = `${report.arena.region} has room for ${bytes(limitBytes)}`;
  if (!isNear(front, limitBytes)) {
    return html`<text class="limit" x="${right}" y="14" text-anchor="end">${`${text}, beyond the picture`}</text>`;
  }
  const lineY = y.at(limitBytes);
  const start = { text, x: right - text.length * LETTER, y: lineY - 5 };
  const isFree = labels.every((label) => !overlap(start, label));
  return html`<rect class="beyond" x="${LEFT}" y="${TOP}" width="${right - LEFT}" height="${Math.max(0, lineY - TOP)}"/><line class="limit" x1="${LEFT}" x2="${right}" y1="${lineY}" y2="${lineY}"/><text class="limit" x="${right}" y="${isFree ? lineY - 5 : lineY + LINE}" text-anchor="end">${text}</text>`;
}
