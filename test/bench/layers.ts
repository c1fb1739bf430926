/** Measured instructions by kind of layer, and how far off the estimate of each layer is. */
import type { LayerCount } from './measure.ts';

export interface KindRow {
  readonly kind: string;
  readonly calls: number;
  readonly macs: number;
  readonly instructions: number;
  readonly estimatedInstructions: number;
}

export interface LayerError {
  readonly name: string;
  readonly instructions: number;
  readonly estimatedInstructions: number;
  /** Of the estimate, relative to the count. */
  readonly error: number;
}

const kinds: readonly (readonly [kind: string, op: RegExp, name: RegExp])[] = [
  ['rows of tables', /^(lookup|cluster|codebook)Rows$/, /./],
  ['embedding, LayerNorm', /^embedLayerNorm$/, /./],
  ['Q, K, V', /^linear$/, /attention\.self\.(query|key|value)/],
  ['QKᵀ, softmax, PV', /^attention$/, /./],
  ['the same, absorbed', /^attendInputs$/, /./],
  ['attention output', /^linear$/, /attention\.output\.dense/],
  ['FFN up, activation', /^linear$/, /intermediate/],
  ['FFN down', /^linear$/, /layer\.\d+\.output\.dense/],
  ['add, LayerNorm', /^addLayerNorm$/, /./],
  ['head', /^linear$/, /./],
  ['copies, not estimated', /^copy$/, /./],
];

export function byKind(layers: readonly LayerCount[]): readonly KindRow[] {
  const kindOf = ({ layer }: LayerCount): string =>
    kinds.find(([, op, name]) => op.test(layer.op) && name.test(layer.name))![0];
  return kinds.flatMap(([kind]) => {
    const own = layers.filter((one) => kindOf(one) === kind);
    const sum = (pick: (one: LayerCount) => number): number =>
      own.reduce((total, one) => total + pick(one), 0);
    if (own.length === 0) return [];
    return [
      {
        kind,
        calls: own.length,
        macs: sum(({ layer }) => layer.macs),
        instructions: sum(({ instructions }) => instructions),
        estimatedInstructions: sum(({ layer }) => layer.estimatedInstructions),
      },
    ];
  });
}

/** Of every layer that computes something, the worst first. */
export function layerErrors(layers: readonly LayerCount[]): readonly LayerError[] {
  return layers
    .filter(({ layer }) => layer.kernel !== null)
    .map(({ layer: { name, estimatedInstructions }, instructions }) => ({
      name,
      instructions,
      estimatedInstructions,
      error: estimatedInstructions / instructions - 1,
    }))
    .toSorted((a, b) => Math.abs(b.error) - Math.abs(a.error));
}
