/** What a token takes, layer by layer, as a table of the HTML report. */
import { cachePriceColumns, cachePriceRows } from './cache-prices.ts';
import { breakable, html, type Markup } from './markup.ts';
import { busyTokenLayers, cachePricesTitle, grouped, percent, tokenSentences } from './numbers.ts';
import type { CachePricesReport, Report } from './schema.ts';

export function tokenTable(report: Report): Markup | null {
  const { token } = report;
  if (token === undefined) return null;
  const layers = busyTokenLayers(token);
  const most = Math.max(1, ...layers.map(({ estimatedCycles }) => estimatedCycles));
  const number = (value: number): Markup =>
    html`<td class="n" data-value="${String(value)}">${grouped(value)}</td>`;
  const rows = layers.map(({ name, op, macs, weightBytesRead, estimatedCycles, ...cache }) => {
    const share = percent(estimatedCycles, token.estimatedCycles);
    return html`<tr><td class="name">${breakable(name)}</td><td class="kernel">${op}</td>${number(macs)}${number(weightBytesRead)}${number(cache.cacheBytes)}${number(cache.cacheBytesRead)}${number(estimatedCycles)}<td class="n bar" data-value="${String(estimatedCycles)}"><svg class="share" viewBox="0 0 100 10" preserveAspectRatio="none" role="img" aria-label="${share}"><title>${share}</title><rect width="${(100 * estimatedCycles) / most}" height="10"/></svg></td></tr>`;
  });
  const totals = [
    token.macs,
    token.reads.reduce((sum, { bytes }) => sum + bytes, 0),
    token.cacheBytes,
    token.cacheBytesRead,
    token.estimatedCycles,
  ].map((value) => html`<td class="n">${grouped(value)}</td>`);
  return html`<section><h2>A token</h2>
<p class="soft">${`Generated as number ${grouped(token.position)}: ${tokenSentences(report).join(' ')}`}</p>
<div class="scroll" tabindex="0" role="region" aria-label="A token by layer, scrollable"><table class="layers">
<thead><tr><th scope="col">Layer</th><th class="kernel" scope="col">Operation</th><th class="n" scope="col">MACs</th><th class="n" scope="col">Weights read, B</th><th class="n" scope="col">Cache, B</th><th class="n" scope="col">of it read</th><th class="n" scope="col">Cycles</th><th class="n bar" scope="col">Share</th></tr></thead>
<tbody>${rows}</tbody>
<tfoot><tr><td class="name">Total</td><td class="kernel"></td>${totals}<td></td></tr></tfoot>
</table></div>${cachePriceTable(token.cachePrices)}</section>`;
}

function cachePriceTable(prices: CachePricesReport | undefined): Markup | null {
  if (prices === undefined) return null;
  const title = cachePricesTitle(prices);
  const cells = (row: readonly string[]): readonly Markup[] =>
    row.map((cell, column) => html`<td class="${column === 0 ? 'name' : 'n'}">${cell}</td>`);
  const head = cachePriceColumns.map(
    (name, column) => html`<th class="${column === 0 ? '' : 'n'}" scope="col">${name}</th>`,
  );
  return html`<p class="soft">${`${title}.`}</p>
<div class="scroll" tabindex="0" role="region" aria-label="Prices of smaller caches, scrollable"><table>
<thead><tr>${head}</tr></thead>
<tbody>${cachePriceRows(prices.prices).map((row) => html`<tr>${cells(row)}</tr>`)}</tbody>
</table></div>`;
}
