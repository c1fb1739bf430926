/** A recognized model without its constants. */
import type { Source } from './source.ts';

/** Structure without constants: what must not depend on the number of tokens. */
export function outline(source: Source): string {
  const ids = new Map<Source, number>();
  const lines: string[] = [];
  const visit = (one: Source): number => {
    const known = ids.get(one);
    if (known !== undefined) return known;
    const inputs = inputsOf(one).map(visit);
    const { kind, rows, columns } = one;
    lines.push(JSON.stringify([kind, rows, columns, attrsOf(one), inputs]));
    ids.set(one, ids.size);
    return ids.size - 1;
  };
  visit(source);
  return lines.join('\n');
}

export function inputsOf(source: Source): readonly Source[] {
  switch (source.kind) {
    case 'embed':
      return [];
    case 'attention':
      return [source.q, source.k, source.v];
    case 'add':
      return [source.a, source.b];
    case 'concat':
      return source.parts;
    case 'linear':
    case 'layerNorm':
    case 'activation':
    case 'selectRow':
    case 'meanRows':
      return [source.x];
  }
}

function attrsOf(source: Source): readonly unknown[] {
  switch (source.kind) {
    case 'attention':
      return [source.heads, source.scale, source.causal];
    case 'layerNorm':
      return [source.epsilon];
    case 'activation':
      return [source.activation];
    case 'selectRow':
      return [source.which];
    default:
      return [];
  }
}

/** All of it, the inputs of each before it. */
export function sourcesOf(source: Source): readonly Source[] {
  const found = new Set<Source>();
  const visit = (one: Source): void => {
    if (found.has(one)) return;
    for (const input of inputsOf(one)) visit(input);
    found.add(one);
  };
  visit(source);
  return [...found];
}
