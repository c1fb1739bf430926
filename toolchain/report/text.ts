/** The report for a terminal of 80 columns. */
import { cachePriceLines } from './cache-prices.ts';
import { gapWords, goalWords, planFits, someOfFront, whenPlanned } from './front.ts';
import {
  busyTokenLayers,
  bytes,
  cachePricesTitle,
  chipWords,
  estimateWords,
  flashParts,
  grouped,
  npuWords,
  type Part,
  percent,
  regionState,
  short,
  sramParts,
  tokenSentences,
} from './numbers.ts';
import type { CachePricesReport, Report, ReportRegion } from './schema.ts';

export interface TextOptions {
  /** Escape codes for colour; off by default. */
  readonly color?: boolean;
}

export function renderText(report: Report, { color = false }: TextOptions = {}): string {
  const paint = painter(color);
  const sections = [
    heading(report, paint),
    memory(report, paint),
    partList('Flash by part', flashParts(report), paint),
    [...partList('RAM by part', sramParts(report), paint), ...arena(report)],
    plan(report, paint),
    compute(report, paint),
    token(report, paint),
    layers(report, paint),
    stack(report, paint),
    notes(report, paint),
  ];
  return `${sections
    .filter((lines) => lines.length > 0)
    .map((lines) => lines.join('\n'))
    .join('\n\n')}\n`;
}

type Paint = (style: keyof typeof styles, text: string) => string;

const styles = { bold: 1, dim: 2, red: 31, green: 32, yellow: 33, cyan: 36 } as const;

export function painter(color: boolean): Paint {
  return (style, text) => (color ? `\u001b[${styles[style]}m${text}\u001b[0m` : text);
}

/** Texts of the model may hold anything: control characters must not reach the terminal. */
export function printable(text: string): string {
  return text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, '\ufffd');
}

function heading(report: Report, paint: Paint): string[] {
  const { model, target, maxTokens } = report;
  return [
    `${paint('bold', printable(model.name))} on ${target.title}`,
    `${model.kind}, ${short(model.parameters)} parameters; ${chipWords(report)}`,
    `at most ${maxTokens} tokens`,
  ];
}

function memory({ regions, module }: Report, paint: Paint): string[] {
  const isMeasured = regions.every(({ usedBytes }) => usedBytes !== null);
  const how = isMeasured ? 'measured from the linked image' : 'predicted: nothing was linked';
  return [
    `${paint('bold', 'Memory')}, ${how}`,
    ...regions.map((one) => regionLine(one, paint)),
    ...(module === undefined ? [] : moduleLines(module)),
  ];
}

function moduleLines(module: NonNullable<Report['module']>): string[] {
  const { pages, pageBytes, fileBytes, codeBytes, relaxedCodeBytes } = module;
  return [
    `  ${grouped(pages)} pages of ${bytes(pageBytes)} from the start on; model.wasm is ${bytes(fileBytes)},`,
    `  ${bytes(codeBytes)} of it code, of which ${bytes(relaxedCodeBytes)} for relaxed SIMD.`,
  ];
}

const GAUGE_CELLS = 12;

function regionLine(region: ReportRegion, paint: Paint): string {
  const { usedBytes, fits, verdict } = regionState(region);
  const share = usedBytes / region.capacityBytes;
  const filled = usedBytes === 0 ? 0 : Math.max(1, Math.round(share * GAUGE_CELLS));
  const cells = Math.min(GAUGE_CELLS, filled);
  const style = !fits ? 'red' : share > 0.9 ? 'yellow' : 'green';
  const gauge = paint(style, '█'.repeat(cells)) + paint('dim', '░'.repeat(GAUGE_CELLS - cells));
  const used = grouped(usedBytes).padStart(10);
  const capacity = `${grouped(region.capacityBytes).padStart(10)} B`;
  return `  ${printable(region.name).padEnd(6)} ${gauge} ${used} of ${capacity}  ${paint(style, verdict)}`;
}

function partList(title: string, parts: readonly Part[], paint: Paint): string[] {
  const total = parts.reduce((sum, part) => sum + part.bytes, 0);
  return [
    `${paint('bold', title)}, ${bytes(total)}`,
    ...parts.map(
      (part) =>
        `  ${part.title.padEnd(18)} ${bytes(part.bytes).padStart(14)} ${percent(part.bytes, total).padStart(8)}`,
    ),
  ];
}

function arena({ sram }: Report): string[] {
  return [`  Most of the arena is in use in ${shorten(printable(sram.peakAt), 44)}.`];
}

const FRONT_LINES = 9;

function plan(report: Report, paint: Paint): string[] {
  const { text, arenaBytes, front } = report.plan;
  const { peakBytes } = report.sram;
  const some = someOfFront(report, FRONT_LINES);
  const which = some.length < front.length ? `${some.length} of ${front.length}` : front.length;
  return [
    `${paint('bold', 'Plan')}, ${goalWords(report)}`,
    ...wrap(printable(text), COLUMNS - 2),
    `  The arena is ${bytes(arenaBytes)}, ${gapWords(report)}${peakBytes === null ? '.' : ';'}`,
    ...(peakBytes === null
      ? []
      : [`  with static data and the bound of the stack, the image takes ${bytes(peakBytes)}.`]),
    `  Plans of which none is better both in arena and in instructions (${which}),`,
    `  estimated ${whenPlanned}:`,
    ...some.map((one) => {
      const numbers = `${bytes(one.arenaBytes).padStart(12)} ${short(one.instructions).padStart(8)}`;
      const words = shorten(printable(one.text), planFits(report, one) ? 53 : 38);
      const line = `  ${one.isChosen ? '▸' : ' '} ${numbers}  ${words}`;
      return one.isChosen
        ? paint('cyan', line)
        : planFits(report, one)
          ? line
          : paint('dim', `${line}, does not fit`);
    }),
  ];
}

function compute(report: Report, paint: Paint): string[] {
  const { macs, macsUnoptimized } = report.compute;
  const saved = macsUnoptimized > 0 ? 100 * (1 - macs / macsUnoptimized) : 0;
  return [
    `${paint('bold', 'Compute')}, one inference over ${report.maxTokens} tokens`,
    `  ${short(macs)} multiply-accumulates; ${short(macsUnoptimized)} as imported (${saved.toFixed(0)} % saved)`,
    `  about ${estimateWords(report)}: an estimate from`,
    ...wrap(printable(report.compute.estimatedFrom), COLUMNS - 2),
    ...(report.compute.npu === undefined
      ? []
      : [
          ...wrap(`${npuWords(report)}: an estimate from`, COLUMNS - 2),
          ...wrap(printable(report.compute.npu.estimatedFrom), COLUMNS - 2),
        ]),
  ];
}

function token(report: Report, paint: Paint): string[] {
  const { token: one } = report;
  if (one === undefined) return [];
  const rows = busyTokenLayers(one);
  const most = Math.max(1, ...rows.map(({ estimatedCycles }) => estimatedCycles));
  const columns = ['MACs', 'weights', 'cache', 'cycles'].map((name, index) =>
    name.padStart(tokenColumns[index]!),
  );
  return [
    `${paint('bold', 'A token')}, generated as number ${grouped(one.position)}`,
    ...tokenSentences(report).flatMap((line) => wrap(printable(line), COLUMNS - 2)),
    paint('dim', `  ${'what it reads, in bytes'.padEnd(NAME_COLUMNS)}${columns.join('')}`),
    ...rows.map(({ name, macs, weightBytesRead, cacheBytesRead, estimatedCycles }) => {
      const values = [short(macs), grouped(weightBytesRead), grouped(cacheBytesRead)];
      const numbers = [...values, short(estimatedCycles)].map((text, index) =>
        text.padStart(tokenColumns[index]!),
      );
      const cells = bar((BAR_CELLS * estimatedCycles) / most);
      const line = `  ${shorten(printable(name), NAME_COLUMNS).padEnd(NAME_COLUMNS)}${numbers.join('')}`;
      return cells === '' ? line : `${line} ${paint('cyan', cells)}`;
    }),
    ...cachePrices(one.cachePrices, paint),
  ];
}

function cachePrices(prices: CachePricesReport | undefined, paint: Paint): readonly string[] {
  if (prices === undefined) return [];
  const [head, ...rows] = cachePriceLines(prices.prices).map((line) => `  ${printable(line)}`);
  return [...wrap(`${cachePricesTitle(prices)}:`, COLUMNS - 2), paint('dim', head!), ...rows];
}

const tokenColumns = [8, 10, 9, 8];

const NAME_COLUMNS = 34;
const BAR_CELLS = 9;

function layers({ layers: rows }: Report, paint: Paint): string[] {
  const most = Math.max(1, ...rows.map(({ estimatedCycles }) => estimatedCycles));
  const head =
    'Layers'.padEnd(NAME_COLUMNS + 2) +
    ['rows', 'MACs', 'weights', 'cycles']
      .map((name, i) => name.padStart(numberColumns[i]!))
      .join('');
  return [
    paint('bold', head),
    ...rows.map((layer) => {
      const mark = layer.device === 'npu' ? ' NPU' : '';
      const name = `${shorten(printable(layer.name), NAME_COLUMNS - mark.length)}${mark}`.padEnd(
        NAME_COLUMNS,
      );
      const { rows: count, macs, weightBytes, estimatedCycles } = layer;
      const numbers = [grouped(count), short(macs), grouped(weightBytes), short(estimatedCycles)]
        .map((text, index) => text.padStart(numberColumns[index]!))
        .join('');
      const cells = bar((BAR_CELLS * estimatedCycles) / most);
      return `  ${name}${numbers}${cells === '' ? '' : ` ${paint('cyan', cells)}`}`;
    }),
  ];
}

const numberColumns = [6, 8, 11, 8];

/** As many cells as `length` says, to an eighth. */
function bar(length: number): string {
  const eighths = Math.round(length * 8);
  return '█'.repeat(Math.floor(eighths / 8)) + ['', ...'▏▎▍▌▋▊▉'][eighths % 8]!;
}

/** Cut in the middle: both ends of a layer's name tell something. */
export function shorten(text: string, columns: number): string {
  const characters = [...text];
  if (characters.length <= columns) return text;
  const tail = Math.ceil((columns - 1) / 2);
  const head = columns - 1 - tail;
  return `${characters.slice(0, head).join('')}…${characters.slice(-tail).join('')}`;
}

function stack({ stack: bound }: Report, paint: Paint): string[] {
  if (bound === null) return [];
  return [
    `${paint('bold', 'Stack')}, at most ${bytes(bound.boundBytes)}; the deepest path from reset`,
    ...bound.path.map(
      ({ name, bytes: own }) =>
        `  ${shorten(printable(name), 50).padEnd(50)}${bytes(own).padStart(10)}`,
    ),
  ];
}

function notes({ notes: list }: Report, paint: Paint): string[] {
  if (list.length === 0) return [];
  return [paint('bold', 'Notes'), ...list.flatMap((note) => wrap(printable(note), COLUMNS - 2))];
}

const COLUMNS = 80;

/** Lines of at most `columns` characters, indented by two more; a longer word is cut. */
function wrap(text: string, columns: number): string[] {
  const lines: string[] = [];
  for (const word of text.split(' ').map((one) => shorten(one, columns))) {
    const last = lines.at(-1);
    if (last !== undefined && [...last, ...word].length < columns) {
      lines[lines.length - 1] = `${last} ${word}`;
    } else lines.push(word);
  }
  return lines.map((line) => `  ${line}`);
}
