/** A report in any of its forms; the same report gives the same bytes. */
import { assertExhaustive } from '../errors.ts';
import { type ReportDiff, renderDiffMarkdown, renderDiffText } from './diff.ts';
import { renderHtml } from './html.ts';
import { renderMarkdown } from './markdown.ts';
import type { Report } from './schema.ts';
import { renderText, type TextOptions } from './text.ts';

export const reportFormats = ['text', 'html', 'md', 'json'] as const;
export type ReportFormat = (typeof reportFormats)[number];

export function renderReport(
  report: Report,
  format: ReportFormat,
  options: TextOptions = {},
): string {
  switch (format) {
    case 'text':
      return renderText(report, options);
    case 'html':
      return renderHtml(report, sortedJson(report));
    case 'md':
      return renderMarkdown(report);
    case 'json':
      return sortedJson(report);
    default:
      return assertExhaustive(format);
  }
}

export const diffFormats = ['text', 'md', 'json'] as const;
export type DiffFormat = (typeof diffFormats)[number];

export function renderDiff(
  diff: ReportDiff,
  format: DiffFormat,
  options: TextOptions = {},
): string {
  switch (format) {
    case 'text':
      return renderDiffText(diff, options);
    case 'md':
      return renderDiffMarkdown(diff);
    case 'json':
      return sortedJson(diff);
    default:
      return assertExhaustive(format);
  }
}

/** Keys in alphabetical order, at every depth. */
function sortedJson(value: unknown): string {
  return `${JSON.stringify(sortKeys(value), null, 2)}\n`;
}

function sortKeys(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sortKeys);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([key, item]) => [key, sortKeys(item)]),
  );
}
