/**
 * The arena as a picture: calls from left to right, addresses from bottom to top, a rectangle a
 * buffer from its first to its last use. Where a buffer overwrites another row by row, both are in
 * use at once and the common part is hatched. Below, the bytes in use during each call.
 *
 *   ┌ limit of the region ───────────────┐
 *   │ ┌───────┐                          │
 *   │ │ keys  │     ┌──── peak ────────┐ │
 *   │ ├───────┴─────┤                  │ │
 *   │ │ x           │////│ x', in place │ │
 *   └─┴─────────────┴────┴──────────────┴─┘
 */
import { html, type Markup } from './markup.ts';
import { arenaLimit, bytes, grouped } from './numbers.ts';
import type { Report, ReportBuffer } from './schema.ts';
import { shorten } from './text.ts';

const WIDTH = 1120;
const LEFT = 70;
const RIGHT = 10;
const TOP = 40;
const PLOT_HEIGHT = 380;
const BARS_TOP = TOP + PLOT_HEIGHT + 44;
const BARS_HEIGHT = 54;
const HEIGHT = BARS_TOP + BARS_HEIGHT + 12;
/** An average letter of the labels' font at 11 units, on the wide side (DejaVu Sans). */
const LETTER = 6.9;
const LINE = 14;

interface Scale {
  readonly x: (call: number) => number;
  readonly y: (address: number) => number;
  readonly limitBytes: number;
  readonly topBytes: number;
}

export function arenaPicture(report: Report): Markup {
  const scale = scaleOf(report);
  const peak = peakCall(report);
  const summary =
    `${report.buffers.length} buffers over ${report.calls.length} calls; ` +
    `the arena takes ${bytes(report.arena.sizeBytes)}.`;
  return html`<svg class="arena" viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-labelledby="arena-title arena-summary">
<title id="arena-title">The arena over time</title><desc id="arena-summary">${summary}</desc>
<defs><pattern id="hatch" width="7" height="7" patternUnits="userSpaceOnUse" patternTransform="rotate(45)"><rect class="hatch" width="2.6" height="7"/></pattern></defs>
${segmentBands(report, scale)}
${addressTicks(scale)}
<rect class="peak-call" x="${scale.x(peak)}" y="${TOP}" width="${scale.x(peak + 1) - scale.x(peak)}" height="${PLOT_HEIGHT}"/>
${report.buffers.map((buffer) => bufferRectangle(buffer, scale))}
${report.buffers.flatMap((buffer) => sharedRectangle(buffer, report, scale))}
${report.buffers.flatMap((buffer) => bufferLabel(buffer, report, scale) ?? [])}
${limitLines(report, scale)}
${liveBars(report, scale, peak)}
</svg>`;
}

function scaleOf(report: Report): Scale {
  const { arena, calls } = report;
  const limitBytes = arenaLimit(report);
  const isNear = limitBytes <= 1.6 * arena.sizeBytes;
  const topBytes = 1.06 * (isNear ? Math.max(limitBytes, arena.sizeBytes) : arena.sizeBytes);
  const columnWidth = (WIDTH - LEFT - RIGHT) / Math.max(1, calls.length);
  return {
    x: (call) => LEFT + call * columnWidth,
    y: (address) => TOP + PLOT_HEIGHT * (1 - address / topBytes),
    limitBytes,
    topBytes,
  };
}

function peakCall({ calls }: Report): number {
  return calls.reduce(
    (best, call, index) => (call.liveBytes > calls[best]!.liveBytes ? index : best),
    0,
  );
}

/** A loop over tiles is a band; its calls run again and again before the next band begins. */
function segmentBands({ segments }: Report, { x }: Scale): Markup[] {
  return segments.map(({ firstCall, lastCall, tiles, tileRows, rows, name }, index) => {
    const left = x(firstCall);
    const width = x(lastCall + 1) - left;
    const loop =
      tiles === 1 ? (rows === 1 ? '1 row' : `${rows} rows`) : `${tiles} × ${tileRows} rows`;
    const text = loop.length * LETTER < width - 4 ? loop : `${tiles}×`;
    const label = text.length * LETTER < width ? text : '';
    return html`<g class="segment"><title>${`calls ${firstCall} to ${lastCall}: ${loop}, up to ${name}`}</title><rect class="${index % 2 === 0 ? 'even' : 'odd'}" x="${left}" y="${TOP - 22}" width="${width}" height="${PLOT_HEIGHT + 22}"/><text class="small" x="${left + width / 2}" y="${TOP - 8}" text-anchor="middle">${label}</text></g>`;
  });
}

function addressTicks({ y, topBytes }: Scale): Markup[] {
  let step = 256;
  while (topBytes / step > 8) step *= 2;
  const ticks = Array.from({ length: Math.floor(topBytes / step) + 1 }, (_, index) => index * step);
  return ticks.map(
    (address) =>
      html`<line class="grid" x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${y(address)}" y2="${y(address)}"/><text class="small" x="${LEFT - 6}" y="${y(address) + 4}" text-anchor="end">${hex(address)}</text>`,
  );
}

function hex(address: number): string {
  return `0x${address.toString(16)}`;
}

/** Name, shape, size and life, as a sentence. */
function describeBuffer(buffer: ReportBuffer): string {
  const { name, kind, rows, columns, dtype, offset, sizeBytes, firstUse, lastUse } = buffer;
  const shape = kind === 'scratch' ? '' : `, ${rows} × ${columns} ${dtype}`;
  const place = `${bytes(sizeBytes)} at ${hex(offset)}`;
  const calls = firstUse === lastUse ? `call ${firstUse}` : `calls ${firstUse} to ${lastUse}`;
  const shared = buffer.inPlaceOf === null ? '' : `, in place of ${buffer.inPlaceOf}`;
  return `${name}: ${kind}${shape}, ${place}, ${calls}${shared}`;
}

interface Box {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
}

function boxOf({ firstUse, lastUse, offset, sizeBytes }: ReportBuffer, { x, y }: Scale): Box {
  const left = x(firstUse);
  const top = y(offset + sizeBytes);
  return { left, top, width: x(lastUse + 1) - left, height: y(offset) - top };
}

function bufferRectangle(buffer: ReportBuffer, scale: Scale): Markup {
  const { left, top, width, height } = boxOf(buffer, scale);
  const text = describeBuffer(buffer);
  return html`<g class="buffer" tabindex="0" role="img" aria-label="${text}"><title>${text}</title><rect class="${buffer.kind}" data-buffer="${buffer.name}" x="${left}" y="${top}" width="${width}" height="${height}"/></g>`;
}

/** Inside its rectangle, or upright in it, or nowhere. */
function bufferLabel(buffer: ReportBuffer, report: Report, scale: Scale): Markup | null {
  const { left, top, width: fullWidth, height } = boxOf(buffer, scale);
  const heir = report.buffers.find(({ inPlaceOf }) => inPlaceOf === buffer.name);
  const width = heir === undefined ? fullWidth : Math.min(fullWidth, scale.x(heir.firstUse) - left);
  const text = buffer.name
    .replace(/^encoder\.layer\.(\d+)\./, 'layer $1 ')
    .replace(/^scratch:.*/, 'scratch');
  const letters = Math.floor((width - 8) / LETTER);
  if (letters >= Math.min(5, text.length) && height >= LINE) {
    const size = bytes(buffer.sizeBytes);
    const second =
      height >= 2 * LINE + 2 && size.length <= letters
        ? html`<text class="small" x="${left + 5}" y="${top + 2 * LINE - 1}">${size}</text>`
        : null;
    return html`<g class="label"><text x="${left + 5}" y="${top + LINE - 2}">${shorten(text, letters)}</text>${second}</g>`;
  }
  const upright = Math.floor((height - 8) / LETTER);
  if (upright < Math.min(8, text.length) || width < LINE) return null;
  const place = `translate(${Math.round(left + width / 2 + 4)} ${Math.round(top + height - 5)}) rotate(-90)`;
  return html`<text class="label" transform="${place}">${shorten(text, upright)}</text>`;
}

/** The time in which a buffer and the one it overwrites are both in use. */
function sharedRectangle(buffer: ReportBuffer, report: Report, { x, y }: Scale): Markup[] {
  const before = report.buffers.find(({ name }) => name === buffer.inPlaceOf);
  if (before === undefined || before.lastUse < buffer.firstUse) return [];
  const left = x(buffer.firstUse);
  const right = x(Math.min(before.lastUse, buffer.lastUse) + 1);
  const end = Math.min(buffer.offset + buffer.sizeBytes, before.offset + before.sizeBytes);
  const top = y(end);
  const height = y(Math.max(buffer.offset, before.offset)) - top;
  return [
    html`<rect class="shared" fill="url(#hatch)" x="${left}" y="${top}" width="${right - left}" height="${height}"/>`,
  ];
}

function limitLines({ arena }: Report, { y, limitBytes, topBytes }: Scale): Markup {
  const peakY = y(arena.sizeBytes);
  const right = WIDTH - RIGHT;
  return html`<line class="peak" x1="${LEFT}" x2="${right}" y1="${peakY}" y2="${peakY}"/><text class="peak-text" x="${LEFT + 4}" y="${peakY - 4}">${`arena ${bytes(arena.sizeBytes)}`}</text>${limit()}`;

  function limit(): Markup {
    const state = limitBytes < arena.sizeBytes ? 'limit over' : 'limit';
    const text = `${arena.region} has room for ${bytes(limitBytes)}`;
    if (limitBytes > topBytes) {
      const times = limitBytes / arena.sizeBytes;
      const height = `${times.toFixed(times < 10 ? 1 : 0)} times as high as the arena`;
      return html`<text class="${state}" x="${right}" y="12" text-anchor="end">${`${text}, ${height}`}</text>`;
    }
    const limitY = y(limitBytes);
    // Below its line where the arena's line is right above.
    const isCrowded = limitY >= peakY && limitY - peakY < LINE + 2;
    return html`<line class="${state}" x1="${LEFT}" x2="${right}" y1="${limitY}" y2="${limitY}"/><text class="${state}" x="${right}" y="${limitY + (isCrowded ? LINE - 2 : -4)}" text-anchor="end">${text}</text>`;
  }
}

function liveBars({ calls, arena }: Report, { x }: Scale, peak: number): Markup {
  const every = Math.ceil(calls.length / 48);
  const bars = calls.map(({ name, op, liveBytes }, index) => {
    const height = (BARS_HEIGHT * liveBytes) / Math.max(1, arena.sizeBytes);
    const left = x(index);
    const width = x(index + 1) - left;
    const number =
      index % every === 0
        ? html`<text class="small" x="${left + width / 2}" y="${BARS_TOP - 24}" text-anchor="middle">${index}</text>`
        : null;
    return html`<g class="call"><title>${`call ${index}: ${name} (${op}), ${bytes(liveBytes)} in use`}</title><rect class="column" x="${left}" y="${BARS_TOP}" width="${width}" height="${BARS_HEIGHT}"/><rect class="${index === peak ? 'live at-peak' : 'live'}" x="${left + 1}" y="${BARS_TOP + BARS_HEIGHT - height}" width="${Math.max(0.5, width - 2)}" height="${height}"/>${number}</g>`;
  });
  const call = calls[peak];
  const note =
    call === undefined
      ? ''
      : `in use during each call; most, ${grouped(call.liveBytes)} B, in call ${peak}`;
  return html`<text class="small" x="${LEFT - 6}" y="${BARS_TOP - 24}" text-anchor="end">call</text><text class="small" x="${LEFT - 6}" y="${BARS_TOP + 10}" text-anchor="end">in use</text>${bars}<text class="small" x="${LEFT}" y="${BARS_TOP - 8}">${note}</text>`;
}
