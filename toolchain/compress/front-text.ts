/** The front as a table on a terminal. */
import type { FrontPoint, MeasuredOption } from './search.ts';

export function frontTable(front: readonly FrontPoint[], chosen: FrontPoint): string {
  const rows = front.map((point) => [
    point === chosen ? '>' : '',
    (point.bytes / 1024).toFixed(0),
    points(point.loss.accuracyDrop),
    point.interval === null ? '' : `${points(point.interval[0])} … ${points(point.interval[1])}`,
    `${(100 * point.loss.agreement).toFixed(2)} %`,
    point.loss.distance.toFixed(4),
    point.loss.hiddenCosine.toFixed(4),
    point.word,
    point.position,
    `${point.int4} of ${point.matrices}`,
    String(point.dropped),
  ]);
  return columns([
    [
      ...['', 'KB', 'points lost', '95 %', 'agreement', 'distance', 'hidden cosine'],
      ...['word table', 'position table', 'int4', 'dropped'],
    ],
    ...rows,
  ]);
}

export function optionTable(options: readonly MeasuredOption[]): string {
  const rows = options.map(({ part, name, bytes, loss, hiddenCosine, agreement, accuracyDrop }) => [
    ...[part, name, String(Math.round(bytes)), loss.toFixed(5), hiddenCosine.toFixed(4)],
    ...[`${(100 * agreement).toFixed(2)} %`, points(accuracyDrop)],
  ]);
  const head = ['part', 'option', 'bytes', 'distance', 'hidden cosine', 'agreement', 'points lost'];
  return columns([head, ...rows]);
}

function points(share: number | null): string {
  return share === null ? '' : (100 * share).toFixed(2);
}

export function columns(rows: readonly (readonly string[])[]): string {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  return rows
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column]!))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}
