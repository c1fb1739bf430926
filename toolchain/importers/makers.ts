/** Makes the nodes of a layer from its weights, and their constants once, whoever reads them. */
import type { GraphBuilder } from '../ir/build.ts';
import type { TypedArrayOf } from '../ir/dtypes.ts';
import type { LinearWeights, NormWeights } from './decoder-weights.ts';

export interface Makers {
  linear(x: string, inputs: number, weights: LinearWeights): string;
  norm(x: string, width: number, weights: NormWeights): string;
  constant(name: string, shape: readonly [number, number], values: Values): string;
  /** A bias where there is none. */
  zero(count: number): string;
}

type Values = TypedArrayOf<'float32'>;

/** Constants are made once, whoever reads them. */
export function makersOf(builder: GraphBuilder, epsilon: number): Makers {
  const known = new Set<string>();
  const constant = (name: string, shape: readonly [number, number], values: Values): string => {
    if (!known.has(name)) builder.constant(name, shape, values);
    known.add(name);
    return name;
  };
  const zero = (count: number): string =>
    constant(`no-bias.${count}`, [1, count], new Float32Array(count));
  return {
    constant,
    zero,
    linear: (x, inputs, { name, stored, outputs, weight, bias }) => {
      const w = constant(`${stored}.weight`, [outputs, inputs], weight);
      const b = bias === null ? zero(outputs) : constant(`${stored}.bias`, [1, outputs], bias);
      return builder.node('linear', name, [x, w, b], {});
    },
    norm: (x, width, { name, stored, gamma, beta }) => {
      const g = constant(`${stored}.weight`, [1, width], gamma);
      if (beta === null) return builder.node('rmsNorm', name, [x, g], { epsilon });
      const b = constant(`${stored}.bias`, [1, width], beta);
      return builder.node('layerNorm', name, [x, g, b], { epsilon });
    },
  };
}
