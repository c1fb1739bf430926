/**
 * The head of every page that is written: one file that needs no network. Its content security policy
 * names the hashes of its own style and script, so that nothing in a model's names can take effect.
 */
import { createHash } from 'node:crypto';
import { html, type Markup } from './markup.ts';
import { pageStyle } from './page-style.ts';

export interface PageHead {
  readonly title: string;
  /** What wrote it, with its version. */
  readonly generator?: string;
  /** The only script that may run. */
  readonly script?: string;
}

export function pageHead({ title, generator, script }: PageHead): Markup {
  const meta =
    generator === undefined
      ? null
      : html`<meta name="generator" content="${generator}">
`;
  return html`<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="${policyOf(script)}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
${meta}<link rel="icon" href="data:,">
<title>${title}</title>
<style>${{ markup: pageStyle }}</style>
</head>`;
}

function policyOf(script: string | undefined): string {
  return [
    "default-src 'none'",
    'img-src data:',
    `style-src ${hashOf(pageStyle)}`,
    ...(script === undefined ? [] : [`script-src ${hashOf(script)}`]),
    "base-uri 'none'",
    "form-action 'none'",
  ].join('; ');
}

function hashOf(text: string): string {
  return `'sha256-${createHash('sha256').update(text).digest('base64')}'`;
}
