/**
 * The layers of a decoder: attention and a feed-forward layer, each of the normalized residual stream
 * and added to it.
 */
import type { GraphBuilder } from '../ir/build.ts';
import type { TypedArrayOf } from '../ir/dtypes.ts';
import type { RopeTable } from './decoder.ts';
import type { DecoderConfig } from './decoder-config.ts';
import type { DecoderWeights, LayerPart, LinearWeights, NormWeights } from './decoder-weights.ts';

/** The name of the logits of the token after the last one. */
export function buildDecoder(
  builder: GraphBuilder,
  config: DecoderConfig,
  weights: DecoderWeights,
  vocabulary: number,
  rope: RopeTable | null,
): string {
  const { width, layers, epsilon } = config;
  const zeros = new Map<number, string>();
  const zero = (count: number): string => {
    const known = zeros.get(count);
    if (known !== undefined) return known;
    const made = builder.constant(`no-bias.${count}`, [1, count], new Float32Array(count));
    zeros.set(count, made);
    return made;
  };
  const linear = (x: string, inputs: number, own: LinearWeights): string => {
    const { name, outputs, weight, bias } = own;
    const w = builder.constant(`${name}.weight`, [outputs, inputs], weight);
    const b = bias === null ? zero(outputs) : builder.constant(`${name}.bias`, [1, outputs], bias);
    return builder.node('linear', name, [x, w, b], {});
  };
  const norm = (x: string, { name, gamma, beta }: NormWeights): string => {
    const g = builder.constant(`${name}.weight`, [1, width], gamma);
    if (beta === null) return builder.node('rmsNorm', name, [x, g], { epsilon });
    const b = builder.constant(`${name}.bias`, [1, width], beta);
    return builder.node('layerNorm', name, [x, g, b], { epsilon });
  };
  const angles =
    rope === null ? null : builder.constant('rope', [rope.rows, config.headWidth], rope.table);

  const tokenIds = builder.input('tokenIds', 'int32', ['tokens', 1]);
  builder.input('segmentStart', 'int32', [1, 1]);
  const words = weights.words();
  const table = builder.constant(
    `${words.name}.weight`,
    [vocabulary, width],
    words.values.subarray(0, vocabulary * width),
  );
  let x = builder.node('lookupRows', words.name, [tokenIds, table], { index: 'token' });
  if (config.ropeTheta === null) {
    const { name, values } = weights.positions();
    const rows = builder.constant(`${name}.weight`, [config.positions, width], values);
    const position = builder.node('lookupRows', name, [tokenIds, rows], { index: 'position' });
    x = builder.node('residualAdd', 'embeddings', [x, position], {});
  }
  for (let layer = 0; layer < layers; layer++) {
    x = attend(builder, config, weights, layer, x, { linear, norm, angles });
    x = feedForward(builder, config, weights, layer, x, { linear, norm });
  }
  const last = builder.node('selectRow', 'last', [norm(x, weights.norm(null, 'final'))], {
    which: 'last',
  });
  const head = config.tiesHead
    ? table
    : builder.constant(
        'lm_head.weight',
        [vocabulary, width],
        weights.head().values.subarray(0, vocabulary * width),
      );
  return builder.node('linear', 'lm_head', [last, head, zero(vocabulary)], {});
}

interface Makers {
  linear(x: string, inputs: number, weights: LinearWeights): string;
  norm(x: string, weights: NormWeights): string;
}

function attend(
  builder: GraphBuilder,
  config: DecoderConfig,
  weights: DecoderWeights,
  layer: number,
  x: string,
  { linear, norm, angles }: Makers & { readonly angles: string | null },
): string {
  const { width, heads, keyValueHeads, headWidth } = config;
  const normalized = norm(x, weights.norm(layer, 'attention'));
  const project = (part: LayerPart, count: number): { name: string; rows: string } => {
    const own = weights.linear(layer, part, count * headWidth, width);
    const isTurned = angles !== null && part !== 'value';
    const rows = linear(normalized, width, isTurned ? sideBySide(own, headWidth) : own);
    if (!isTurned) return { name: own.name, rows };
    return {
      name: own.name,
      rows: builder.node('rotary', `${own.name}.rotary`, [rows, angles], {}),
    };
  };
  const q = project('query', heads);
  const k = project('key', keyValueHeads);
  const v = project('value', keyValueHeads);
  const self = q.name.slice(0, q.name.lastIndexOf('.'));
  const scale = config.scoreScale(layer);
  const mixed = builder.node('causalAttention', self, [q.rows, k.rows, v.rows], {
    heads,
    keyValueHeads,
    scale,
  });
  const inputs = heads * headWidth;
  const projected = linear(mixed, inputs, weights.linear(layer, 'attention', width, inputs));
  return builder.node('residualAdd', `${self}.add`, [x, projected], {});
}

function feedForward(
  builder: GraphBuilder,
  { width, middle, family, activation: kind }: DecoderConfig,
  weights: DecoderWeights,
  layer: number,
  x: string,
  { linear, norm }: Makers,
): string {
  const normalized = norm(x, weights.norm(layer, 'feedForward'));
  const wideWeights = weights.linear(layer, 'wide', middle, width);
  const narrowWeights = weights.linear(layer, 'narrow', width, middle);
  const parent = narrowWeights.name.slice(0, narrowWeights.name.lastIndexOf('.'));
  const wide = linear(normalized, width, wideWeights);
  const active =
    family === 'llama'
      ? builder.node(
          'gatedProduct',
          `${parent}.act_fn`,
          [linear(normalized, width, weights.linear(layer, 'gate', middle, width)), wide],
          { kind },
        )
      : builder.node('activation', `${parent}.act`, [wide], { kind });
  const narrow = linear(active, middle, narrowWeights);
  return builder.node('residualAdd', `${parent}.add`, [x, narrow], {});
}

/**
 * Rows of a projection in the order in which the columns that are turned together are neighbours:
 * transformers turns column i of a head with column i + headWidth / 2.
 */
function sideBySide(own: LinearWeights, headWidth: number): LinearWeights {
  const half = headWidth / 2;
  const { outputs, weight, bias } = own;
  const source = (row: number): number => {
    const column = row % headWidth;
    return row - column + (column >> 1) + (column % 2) * half;
  };
  const reordered = (values: TypedArrayOf<'float32'>): TypedArrayOf<'float32'> => {
    const width = values.length / outputs;
    const to = new Float32Array(values.length);
    for (let row = 0; row < outputs; row++) {
      const from = source(row) * width;
      to.set(values.subarray(from, from + width), row * width);
    }
    return to;
  };
  return { ...own, weight: reordered(weight), bias: bias === null ? null : reordered(bias) };
}
