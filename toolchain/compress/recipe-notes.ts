/** What a recipe did, a sentence a table: for reports. */
import { assertExhaustive } from '../errors.ts';
import type { CodedTable } from './coded-table.ts';
import type { Recipe } from './recipe.ts';
import { tableBytes } from './table-size.ts';

/** `storedTokens`: vocabulary ids whose rows are stored. */
export function recipeNotes(
  { tables, droppedTokens }: Recipe,
  storedTokens: Int32Array,
  wordTable: string | null,
): readonly string[] {
  const stored = new Set(storedTokens);
  const notes = Object.entries(tables).map(([name, table]) => {
    const isStored = (row: number) => name !== wordTable || stored.has(row);
    const rows = name === wordTable ? stored.size : table.rows;
    const bytes = tableBytes(table, isStored);
    return `${name} is stored as ${methodText(table)}: ${bytes.toLocaleString('en-US')} B, ${(bytes / rows).toFixed(2)} B a row.`;
  });
  if (droppedTokens.length === 0) return notes;
  const count = droppedTokens.length.toLocaleString('en-US');
  return [...notes, `${count} tokens are left out; their texts fall apart into pieces.`];
}

function methodText(table: CodedTable): string {
  switch (table.method) {
    case 'rows':
      return `rows of ${table.bits} bits`;
    case 'low-rank': {
      const parts = table.clusters.map(({ rank, bits }) => `rank ${rank} in ${bits} bits`);
      return parts.length === 1 ? parts[0]! : `${parts.length} clusters (${parts.join(', ')})`;
    }
    case 'codebooks': {
      const tiers = table.tiers.map(({ stages }) => stages).join(', ');
      return `codes of ${tiers} codebooks, rank ${table.rank}`;
    }
    default:
      return assertExhaustive(table);
  }
}
