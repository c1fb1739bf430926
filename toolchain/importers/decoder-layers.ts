/**
 * The layers of a decoder: attention and a feed-forward layer, each of the normalized residual stream
 * and added to it.
 */
import type { GraphBuilder } from '../ir/build.ts';
import type { DecoderConfig, LayerConfig } from './decoder-config.ts';
import type { DecoderWeights, LayerPart } from './decoder-weights.ts';
import { type Makers, makersOf } from './makers.ts';
import { type RopeTable, sideBySide } from './rotary.ts';

/** The name of the logits of the token after the last one. */
export function buildDecoder(
  builder: GraphBuilder,
  config: DecoderConfig,
  weights: DecoderWeights,
  vocabulary: number,
  rope: RopeTable | null,
): string {
  const { embeddingWidth: width, layers } = config;
  const makers = makersOf(builder, config.epsilon);
  const { linear, norm, constant, zero } = makers;
  const angles =
    rope === null ? null : constant('rope', [rope.rows, layers[0]!.headWidth], rope.table);
  const tokenIds = builder.input('tokenIds', 'int32', ['tokens', 1]);
  builder.input('segmentStart', 'int32', [1, 1]);
  const words = weights.words();
  const used = words.values.subarray(0, vocabulary * width);
  const table = constant(`${words.name}.weight`, [vocabulary, width], used);
  let x = builder.node('lookupRows', words.name, [tokenIds, table], { index: 'token' });
  if (config.ropeTheta === null) {
    const { name, values } = weights.positions();
    const rows = constant(`${name}.weight`, [config.positions, width], values);
    const position = builder.node('lookupRows', name, [tokenIds, rows], { index: 'position' });
    x = builder.node('residualAdd', 'embeddings', [x, position], {});
  }
  let before = width;
  for (const layer of layers) {
    const { projection } = layer;
    if (projection !== null) {
      x = linear(x, before, weights.product(projection, layer.width, before));
    }
    x = attend(builder, layer, weights, x, { ...makers, angles });
    x = feedForward(builder, config, layer, weights, x, makers);
    before = layer.width;
  }
  const normalized = norm(x, before, weights.finalNorm(before));
  const last = builder.node('selectRow', 'last', [normalized], { which: 'last' });
  const narrow =
    before === width
      ? last
      : linear(last, before, weights.product('head_projection', width, before));
  const head = config.tiesHead
    ? table
    : constant(
        'lm_head.weight',
        [vocabulary, width],
        weights.head().values.subarray(0, vocabulary * width),
      );
  return builder.node('linear', 'lm_head', [narrow, head, zero(vocabulary)], {});
}

function attend(
  builder: GraphBuilder,
  layer: LayerConfig,
  weights: DecoderWeights,
  x: string,
  { linear, norm, angles }: Makers & { readonly angles: string | null },
): string {
  const { width, heads, keyValueHeads, headWidth, scale } = layer;
  const normalized = norm(x, width, weights.norm(layer, 'attention'));
  const project = (part: LayerPart, count: number): { name: string; rows: string } => {
    const own = weights.linear(layer, part, count * headWidth, width);
    if (angles === null || part === 'value') {
      return { name: own.name, rows: linear(normalized, width, own) };
    }
    const rows = linear(normalized, width, sideBySide(own, headWidth));
    return {
      name: own.name,
      rows: builder.node('rotary', `${own.name}.rotary`, [rows, angles], {}),
    };
  };
  const q = project('query', heads);
  const k = project('key', keyValueHeads);
  const v = project('value', keyValueHeads);
  const self = q.name.slice(0, q.name.lastIndexOf('.'));
  const attrs = { heads, keyValueHeads, scale };
  const mixed = builder.node('causalAttention', self, [q.rows, k.rows, v.rows], attrs);
  const inputs = heads * headWidth;
  const projected = linear(mixed, inputs, weights.linear(layer, 'attention', width, inputs));
  return builder.node('residualAdd', `${self}.add`, [x, projected], {});
}

function feedForward(
  builder: GraphBuilder,
  { family, activation: kind }: DecoderConfig,
  layer: LayerConfig,
  weights: DecoderWeights,
  x: string,
  { linear, norm }: Makers,
): string {
  const { width, middle } = layer;
  const normalized = norm(x, width, weights.norm(layer, 'feedForward'));
  const narrowWeights = weights.linear(layer, 'narrow', width, middle);
  const parent = narrowWeights.name.slice(0, narrowWeights.name.lastIndexOf('.'));
  const wide = linear(normalized, width, weights.linear(layer, 'wide', middle, width));
  const gate = () => linear(normalized, width, weights.linear(layer, 'gate', middle, width));
  const active =
    family === 'llama'
      ? builder.node('gatedProduct', `${parent}.act_fn`, [gate(), wide], { kind })
      : builder.node('activation', `${parent}.act`, [wide], { kind });
  const narrow = linear(active, middle, narrowWeights);
  return builder.node('residualAdd', `${parent}.add`, [x, narrow], {});
}
