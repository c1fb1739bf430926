/** A TensorFlow.js layers model (Keras' own description of a model) to the primitive graph. */
import { z } from 'zod';
import { userError } from '../../errors.ts';
import { type ModelFiles, quote, shorten } from '../files.ts';
import { type PrimitiveBuilder, primitiveBuilder } from '../primitive/build.ts';
import { addProduct } from '../primitive/compose.ts';
import type { UnaryName } from '../primitive/elementwise.ts';
import type { PrimitiveGraph, PrimitiveInput } from '../primitive/graph.ts';
import type { TfjsModel } from './schema.ts';
import { readWeights } from './weights.ts';

/** [layer, node, tensor, further arguments] */
const callSchema = z.tuple([z.string(), z.number(), z.number()]).rest(z.unknown());

const layerSchema = z.object({
  class_name: z.string(),
  name: z.string().optional(),
  config: z.looseObject({ name: z.string().optional() }),
  inbound_nodes: z.array(z.array(callSchema)).default([]),
});
type Layer = z.infer<typeof layerSchema>;

const modelSchema = z.object({
  class_name: z.string(),
  config: z.object({
    layers: z.array(layerSchema),
    output_layers: z.array(callSchema).default([]),
  }),
});

const ends = z.looseObject({
  units: z.number().optional(),
  activation: z.string().nullish(),
  epsilon: z.number().default(1e-3),
  num_heads: z.number().int().positive().max(1024).default(1),
  key_dim: z.number().positive().default(1),
  batch_input_shape: z.array(z.number().nullable()).optional(),
  axis: z.union([z.number(), z.array(z.number())]).optional(),
});
type LayerConfig = z.infer<typeof ends>;

export function readTfjsLayers(model: TfjsModel, file: string, files: ModelFiles): PrimitiveGraph {
  const described = parsed(modelSchema, asObject(model.modelTopology.model_config), file);
  const { layers, output_layers } = described.config;
  const weights = readWeights(model.weightsManifest, file, files);
  const builder = primitiveBuilder();
  for (const [name, value] of weights) builder.constant(value, `weight ${name}`);
  const inputs: PrimitiveInput[] = [];
  const made = new Map<string, string>();
  for (const layer of layers) {
    const name = layer.name ?? layer.config.name ?? '';
    const config = parsed(ends, layer.config, file);
    if (layer.class_name === 'InputLayer') {
      inputs.push({ name, type: 'int', shape: config.batch_input_shape ?? null });
      made.set(name, name);
      continue;
    }
    if (layer.inbound_nodes.length !== 1) {
      throw unsupported(
        `the layer ${quote(name)} is called ${layer.inbound_nodes.length} times`,
        file,
      );
    }
    const operands = layer.inbound_nodes[0]!.map(([input]) => {
      const tensor = made.get(input);
      if (tensor === undefined)
        throw unsupported(`${quote(name)} reads ${quote(input)}, which is not before it`, file);
      return tensor;
    });
    const weightOf = (part: string): string => {
      const key = [...weights.keys()].find(
        (one) => one === `${name}/${part}` || one.endsWith(`/${name}/${part}`),
      );
      return key === undefined ? '' : `weight ${key}`;
    };
    builder.enter(name, layer.class_name);
    const isSelf = isSelfAttention(layer);
    made.set(name, addLayer(builder, layer.class_name, config, operands, weightOf, isSelf));
  }
  const outputs = output_layers.map(([name]) => made.get(name) ?? name);
  if (outputs.length === 0) outputs.push(made.get(layers.at(-1)?.name ?? '') ?? '');
  return builder.finish({ format: 'TensorFlow.js', inputs, outputs });
}

/** Old converters wrote the description as text. */
function asObject(config: unknown): unknown {
  if (typeof config !== 'string') return config;
  try {
    return JSON.parse(config);
  } catch {
    return null; // refused by the schema, with the file's name
  }
}

function parsed<T>(schema: z.ZodType<T>, value: unknown, file: string): T {
  const result = schema.safeParse(value);
  if (result.success) return result.data;
  const [issue] = result.error.issues;
  throw userError({
    code: 'bad-tfjs',
    message: `the layers are not as Keras describes them: ${shorten(`${issue?.path.join('.')}: ${issue?.message}`)}`,
    where: file,
    hint: 'Convert the model again with tensorflowjs_converter.',
  });
}

/** Keys and values are the further arguments of a call: the same tensor as the queries. */
function isSelfAttention({ inbound_nodes }: Layer): boolean {
  const [call] = inbound_nodes;
  const [first] = call ?? [];
  const [name, , , more] = first ?? [];
  return Object.entries((more ?? {}) as Record<string, unknown>).every(([key, value]) => {
    if (key === 'training' || value === null || value === false) return true;
    return (key === 'value' || key === 'key') && Array.isArray(value) && value[0] === name;
  });
}

function addLayer(
  builder: PrimitiveBuilder,
  kind: string,
  config: LayerConfig,
  operands: readonly string[],
  weightOf: (part: string) => string,
  isSelf: boolean,
): string {
  const [x = ''] = operands;
  switch (kind) {
    case 'Embedding':
      return builder.add('gather', { axis: 0 }, [weightOf('embeddings'), x]);
    case 'Dense':
      return activated(
        builder,
        addProduct(builder, x, weightOf('kernel'), weightOf('bias')),
        config,
      );
    case 'LayerNormalization': {
      const norms = [weightOf('gamma'), weightOf('beta')].filter((name) => name !== '');
      return builder.add('layerNorm', { axis: -1, epsilon: config.epsilon }, [x, ...norms]);
    }
    case 'MultiHeadAttention':
      return isSelf && operands.length === 1
        ? addHeads(builder, config, x, weightOf)
        : builder.add('opaque', { what: kind }, operands);
    case 'Add':
      return operands.reduce((a, b) => builder.add('binary', { function: 'add' }, [a, b]));
    case 'Activation':
      return activated(builder, x, config);
    case 'Softmax':
      return builder.add('softmax', { axis: -1 }, [x]);
    case 'ReLU':
      return builder.add('unary', { function: 'relu' }, [x]);
    case 'Dropout':
    case 'SpatialDropout1D':
      return x;
    case 'GlobalAveragePooling1D': {
      const axes = builder.integers([1]);
      return builder.add('reduce', { kind: 'mean', keepAxes: false }, [x, axes]);
    }
    default:
      return builder.add('opaque', { what: kind }, operands);
  }
}

/** kernel: (inputs, heads, width), of the output (heads, width, outputs). */
function addHeads(
  builder: PrimitiveBuilder,
  { key_dim }: LayerConfig,
  x: string,
  weightOf: (part: string) => string,
): string {
  const projected = (part: string): string => {
    const equation = 'abc,cde->abde';
    const y = builder.add('einsum', { equation }, [x, weightOf(`${part}/kernel`)]);
    const bias = weightOf(`${part}/bias`);
    return bias === '' ? y : builder.add('binary', { function: 'add' }, [y, bias]);
  };
  const scale = builder.float(1 / Math.sqrt(key_dim));
  const q = builder.add('binary', { function: 'multiply' }, [projected('query'), scale]);
  const scores = builder.add('einsum', { equation: 'aecd,abcd->acbe' }, [projected('key'), q]);
  const weights = builder.add('softmax', { axis: -1 }, [scores]);
  const mixed = builder.add('einsum', { equation: 'acbe,aecd->abcd' }, [
    weights,
    projected('value'),
  ]);
  const out = weightOf('attention_output/kernel');
  const y = builder.add('einsum', { equation: 'abcd,cde->abe' }, [mixed, out]);
  const bias = weightOf('attention_output/bias');
  return bias === '' ? y : builder.add('binary', { function: 'add' }, [y, bias]);
}

const functions: Readonly<Record<string, UnaryName>> = {
  ...{ relu: 'relu', relu6: 'relu6', tanh: 'hyperbolicTangent', sigmoid: 'sigmoid' },
};

function activated(builder: PrimitiveBuilder, x: string, { activation }: LayerConfig): string {
  const name = activation ?? 'linear';
  if (name === 'linear') return x;
  if (name === 'softmax') return builder.add('softmax', { axis: -1 }, [x]);
  if (name === 'gelu') return builder.add('gelu', { tanh: false }, [x]);
  if (name === 'gelu_new') return builder.add('gelu', { tanh: true }, [x]);
  return Object.hasOwn(functions, name)
    ? builder.add('unary', { function: functions[name]! }, [x])
    : builder.add('opaque', { what: name }, [x]);
}

function unsupported(message: string, where: string) {
  return userError({
    code: 'unsupported-model',
    message: shorten(message),
    where,
    hint: 'Convert the Keras model to a graph model instead: model.export("saved"), then tensorflowjs_converter --input_format=tf_saved_model saved out.',
  });
}
