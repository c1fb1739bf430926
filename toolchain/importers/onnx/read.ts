/** An ONNX file to the primitive graph. */
import { type Lm2mcuError, userError } from '../../errors.ts';
import { type ModelFiles, quote } from '../files.ts';
import { primitiveBuilder } from '../primitive/build.ts';
import type { PrimitiveGraph, PrimitiveInput } from '../primitive/graph.ts';
import type { ElementType } from '../primitive/value.ts';
import { type Converter, nodeContext } from './context.ts';
import { contribOps } from './contrib-ops.ts';
import { inlineFunctions } from './functions.ts';
import { quantizedOps } from './quantized-ops.ts';
import {
  type OnnxGraph,
  type OnnxModel,
  type OnnxNode,
  type OnnxValueInfo,
  onnxModelSchema,
  onnxModelType,
} from './schema.ts';
import { standardOps } from './standard-ops.ts';
import { dataTypes, readTensor } from './tensors.ts';

export interface OnnxModelRead {
  readonly graph: PrimitiveGraph;
  /** `pytorch 2.15`, as the file says. */
  readonly producer: string;
  readonly opset: number;
}

/** `files`: the folder, in which external weights lie. */
export function readOnnx(bytes: Uint8Array, file: string, files: ModelFiles): OnnxModelRead {
  const model = decode(bytes, file);
  if (model.graph === undefined) throw badOnnx(file, 'it has no graph');
  const opset = model.opsets.find(({ domain }) => defaultDomain(domain))?.version ?? 0;
  if (opset < oldestOpset) {
    throw userError({
      code: 'unsupported-model',
      message: `the ONNX file is of operator set ${opset}`,
      where: file,
      hint: `Read are ${oldestOpset} and newer: export the model with opset_version=17.`,
    });
  }
  const graph = inlineFunctions(model.graph, model.functions, file);
  return {
    graph: convert(graph, opset, file, files),
    producer: `${model.producer} ${model.producerVersion}`.trim() || 'an unnamed exporter',
    opset,
  };
}

const oldestOpset = 7;

function defaultDomain(domain: string): boolean {
  return domain === '' || domain === 'ai.onnx';
}

function decode(bytes: Uint8Array, file: string): OnnxModel {
  try {
    const message = onnxModelType.decode(bytes);
    return onnxModelSchema.parse(onnxModelType.toObject(message, { arrays: false, longs: Number }));
  } catch (cause) {
    // protobufjs throws plain errors, whose text has the byte where reading failed.
    const text = cause instanceof Error ? cause.message.split('\n')[0]! : String(cause);
    const at = /\d+/.exec(text);
    const place = `${file}, byte ${at === null ? `0 to ${bytes.length}` : at[0]}`;
    const error = badOnnx(place, 'it is not the protocol buffer of an ONNX model');
    error.cause = cause;
    throw error;
  }
}

function badOnnx(where: string, message: string): Lm2mcuError {
  return userError({
    code: 'bad-onnx',
    message: `the ONNX file cannot be read: ${message}`,
    where,
    hint: 'It may be cut off or a Git LFS pointer: copy it again, or export the model anew (torch.onnx.export).',
  });
}

function convert(graph: OnnxGraph, opset: number, file: string, files: ModelFiles): PrimitiveGraph {
  const builder = primitiveBuilder();
  const constants = new Set<string>();
  for (const tensor of graph.initializers) {
    builder.constant(readTensor(tensor, tensor.name, file, files), tensor.name);
    constants.add(tensor.name);
  }
  if (graph.sparseInitializers.length > 0) throw badOnnx(file, 'it has sparse weights');
  const inputs = graph.inputs.filter(({ name }) => !constants.has(name)).map(inputOf);
  const nodes = inOrder(
    graph,
    new Set([...constants, ...inputs.map(({ name }) => name), '']),
    file,
  );
  for (const [index, node] of nodes.entries()) {
    builder.enter(userName(node, index), node.type);
    const read = (tensor: Parameters<typeof readTensor>[0], name: string) =>
      readTensor(tensor, name, file, files);
    const converter = converterOf(node);
    if (converter === undefined) {
      for (const output of node.outputs) {
        if (output !== '') builder.add('opaque', { what: node.type }, node.inputs, output);
      }
    } else converter(nodeContext(node, builder, opset, read));
  }
  const outputs = graph.outputs.map(({ name }) => name);
  if (outputs.length === 0) throw badOnnx(file, 'it has no output');
  return builder.finish({ format: 'ONNX', inputs, outputs });
}

function converterOf({ domain, type }: OnnxNode): Converter | undefined {
  const own = (table: Readonly<Record<string, Converter>>) =>
    Object.hasOwn(table, type) ? table[type] : undefined;
  if (domain === 'com.microsoft') return own(contribOps) ?? own(quantizedOps);
  if (!defaultDomain(domain)) return undefined;
  // ONNX Runtime also writes its fused normalization without a domain.
  return (
    own(standardOps) ??
    own(quantizedOps) ??
    (type === 'SkipLayerNormalization' ? own(contribOps) : undefined)
  );
}

/** The scope of the module where an exporter notes it, else the node's name, else its output's. */
function userName({ name, metadata, outputs, type }: OnnxNode, index: number): string {
  const scopes = metadata.find(({ key }) => key === 'pkg.torch.onnx.name_scopes')?.value;
  // The last scope is the node itself, the one before it the module.
  const modules =
    scopes === undefined ? [] : Array.from(scopes.matchAll(/'([^']*)'/g), (m) => m[1]!);
  const module = modules.at(-2) ?? '';
  if (module !== '') return `${module}.${type}`;
  return name || outputs[0] || `${type}_${index}`;
}

function inputOf({ name, type }: OnnxValueInfo): PrimitiveInput {
  const tensor = type?.tensor;
  const elementType: ElementType = dataTypes[tensor?.elementType ?? 7]?.type ?? 'int';
  const shape = tensor?.shape?.dims.map(({ value, parameter }) =>
    value !== undefined && value > 0 ? value : parameter || null,
  );
  return { name, type: elementType, shape: shape ?? null };
}

/** Exporters write nodes in order; others need not. */
function inOrder(graph: OnnxGraph, made: Set<string>, file: string): readonly OnnxNode[] {
  const result: OnnxNode[] = [];
  let waiting: readonly OnnxNode[] = graph.nodes;
  let rounds = 0;
  while (waiting.length > 0) {
    const later: OnnxNode[] = [];
    for (const node of waiting) {
      if (!node.inputs.every((name) => made.has(name))) later.push(node);
      else {
        for (const output of node.outputs) made.add(output);
        result.push(node);
      }
    }
    rounds++;
    if (later.length === waiting.length || rounds > maxRounds) {
      const [first] = later;
      const missing = first?.inputs.find((name) => !made.has(name));
      throw badOnnx(
        `${file}, node ${quote(first?.name ?? '')}`,
        `it reads ${quote(missing ?? '')}, which no node before it makes`,
      );
    }
    waiting = later;
  }
  return result;
}

/** A graph whose nodes are more out of order is from no exporter. */
const maxRounds = 100;
