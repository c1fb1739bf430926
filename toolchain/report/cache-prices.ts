/** What smaller caches would cost, as rows of cells: for the terminal, for Markdown and for the page. */
import type { CachePrice } from '../generate/cache-prices.ts';
import { grouped } from './numbers.ts';

export const cachePriceColumns = ['--cache', 'cache, B', 'arena, B', 'perplexity', 'more'] as const;

/** A row a policy; the first of `prices` is what the others are compared with. */
export function cachePriceRows(prices: readonly CachePrice[]): readonly (readonly string[])[] {
  const whole = prices[0]?.perplexity ?? 1;
  return prices.map(({ cache, cacheBytes, arenaBytes, perplexity }) => [
    cache,
    grouped(cacheBytes),
    grouped(arenaBytes),
    perplexity.toFixed(3),
    `${(100 * (perplexity / whole - 1)).toFixed(1)} %`,
  ]);
}

/** Lines of a table, its numbers to the right. */
export function cachePriceLines(prices: readonly CachePrice[]): readonly string[] {
  const rows = [cachePriceColumns, ...cachePriceRows(prices)];
  const widths = cachePriceColumns.map((_, column) =>
    Math.max(...rows.map((row) => row[column]!.length)),
  );
  return rows.map((row) =>
    row
      .map((cell, column) =>
        column === 0 ? cell.padEnd(widths[0]!) : cell.padStart(widths[column]!),
      )
      .join('  '),
  );
}
