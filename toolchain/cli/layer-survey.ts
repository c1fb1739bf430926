/** What `inspect` says of the layers of a graph that is understood in part. */
import type { LayerOutcome } from '../errors.ts';
import { alignColumns } from './targets.ts';

export function layerSummary(layers: readonly LayerOutcome[]): string {
  const counts = new Map<string, number>();
  for (const layer of layers) {
    const key = layer.outcome === 'mapped' ? layer.becomes.join(' and ') : layer.outcome;
    counts.set(key, (counts.get(key) ?? 0) + 1);
  }
  const list = [...counts].map(([key, number]) => `${number} ${key}`).join(', ');
  return `of ${layers.length} layers that compute: ${list} (--layers names them)`;
}

export function layerLines(layers: readonly LayerOutcome[]): readonly string[] {
  const rows = layers.map((layer) => [layer.name, outcomeText(layer)]);
  return alignColumns(rows).split('\n');
}

function outcomeText(layer: LayerOutcome): string {
  switch (layer.outcome) {
    case 'mapped':
      return `becomes ${layer.becomes.join(' and ')}`;
    case 'unsupported':
      return layer.problem;
    case 'behind-unsupported':
      return 'reads what is not supported';
  }
}
