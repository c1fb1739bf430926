/** The report as one HTML file that needs nothing else. */
import type { Report } from './schema.ts';

export function renderHtml(report: Report): string {
  return `<!doctype html><title>${report.maxTokens}</title>`;
}
