/** A recognized model without its constants. */
import type { Source } from './source.ts';

/** Structure without constants, as texts of `tokens` tokens show it: what must not depend on more. */
export function outline(source: Source, tokens: number): string {
  const ids = new Map<Source, number>();
  const lines: string[] = [];
  const visit = (one: Source): number => {
    const known = ids.get(one);
    if (known !== undefined) return known;
    const inputs = inputsOf(one).map(visit);
    const { kind, rows, columns } = one;
    lines.push(JSON.stringify([kind, rows, columns, attrsOf(one, tokens), inputs]));
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
    case 'scaledAdd':
      return [source.a, source.b];
    case 'gatedProduct':
      return [source.gate, source.up];
    case 'concat':
      return source.parts;
    case 'linear':
    case 'layerNorm':
    case 'activation':
    case 'rotary':
    case 'trigrams':
    case 'embedSum':
    case 'selectRow':
    case 'meanRows':
      return [source.x];
  }
}

function attrsOf(source: Source, tokens: number): readonly unknown[] {
  switch (source.kind) {
    case 'attention': {
      const { heads, scale, causal, reach } = source;
      return [heads, scale, causal, reach !== null && reach < tokens - 1 ? reach : null];
    }
    case 'rotary':
      return [source.theta, source.width];
    case 'gatedProduct':
      return [source.activation];
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
