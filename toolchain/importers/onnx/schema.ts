/**
 * The part of ONNX's protobuf schema (onnx.proto of ONNX 1.23) that a model is read by: field numbers
 * and types as data for protobufjs. Unknown fields are skipped.
 */
import protobuf from 'protobufjs/light.js';
import { z } from 'zod';

type Fields = Readonly<Record<string, readonly [id: number, type: string, rule?: 'repeated']>>;

const messages: Readonly<Record<string, Fields>> = {
  Model: {
    opsets: [8, 'OperatorSet', 'repeated'],
    producer: [2, 'string'],
    producerVersion: [3, 'string'],
    graph: [7, 'Graph'],
    functions: [25, 'Function', 'repeated'],
  },
  OperatorSet: { domain: [1, 'string'], version: [2, 'int64'] },
  Graph: {
    nodes: [1, 'Node', 'repeated'],
    initializers: [5, 'Tensor', 'repeated'],
    sparseInitializers: [15, 'SparseTensor', 'repeated'],
    inputs: [11, 'ValueInfo', 'repeated'],
    outputs: [12, 'ValueInfo', 'repeated'],
  },
  Node: {
    inputs: [1, 'string', 'repeated'],
    outputs: [2, 'string', 'repeated'],
    name: [3, 'string'],
    type: [4, 'string'],
    domain: [7, 'string'],
    attributes: [5, 'Attribute', 'repeated'],
    metadata: [9, 'Entry', 'repeated'],
  },
  Attribute: {
    name: [1, 'string'],
    reference: [21, 'string'],
    f: [2, 'float'],
    i: [3, 'int64'],
    s: [4, 'bytes'],
    t: [5, 'Tensor'],
    g: [6, 'Graph'],
    floats: [7, 'float', 'repeated'],
    ints: [8, 'int64', 'repeated'],
    strings: [9, 'bytes', 'repeated'],
  },
  ValueInfo: { name: [1, 'string'], type: [2, 'Type'] },
  Type: { tensor: [1, 'TensorType'] },
  TensorType: { elementType: [1, 'int32'], shape: [2, 'Shape'] },
  Shape: { dims: [1, 'Dimension', 'repeated'] },
  Dimension: { value: [1, 'int64'], parameter: [2, 'string'] },
  Tensor: {
    dims: [1, 'int64', 'repeated'],
    dataType: [2, 'int32'],
    floats: [4, 'float', 'repeated'],
    int32s: [5, 'int32', 'repeated'],
    int64s: [7, 'int64', 'repeated'],
    name: [8, 'string'],
    raw: [9, 'bytes'],
    doubles: [10, 'double', 'repeated'],
    uint64s: [11, 'uint64', 'repeated'],
    external: [13, 'Entry', 'repeated'],
    location: [14, 'int32'],
  },
  SparseTensor: { values: [1, 'Tensor'] },
  Entry: { key: [1, 'string'], value: [2, 'string'] },
  Function: {
    name: [1, 'string'],
    inputs: [4, 'string', 'repeated'],
    outputs: [5, 'string', 'repeated'],
    attributes: [6, 'string', 'repeated'],
    nodes: [7, 'Node', 'repeated'],
    domain: [10, 'string'],
    attributeDefaults: [11, 'Attribute', 'repeated'],
  },
};

export const onnxModelType: protobuf.Type = protobuf.Root.fromJSON({
  nested: Object.fromEntries(
    Object.entries(messages).map(([message, fields]) => [
      message,
      {
        // Where a zero that is there differs from nothing.
        edition: 'proto2',
        fields: Object.fromEntries(
          Object.entries(fields).map(([name, [id, type, rule]]) => [
            name,
            rule === undefined ? { id, type } : { id, type, rule },
          ]),
        ),
      },
    ]),
  ),
}).lookupType('Model');

/** 64-bit integers come as numbers or as objects of two halves. */
const whole = z
  .custom<number | { toNumber(): number }>(() => true)
  .transform((value) => (typeof value === 'number' ? value : value.toNumber()));
const text = z.string().default('');
const wholes = z.array(whole).default([]);
const bytes = z.custom<Uint8Array>((value) => value instanceof Uint8Array);

const entry = z.object({ key: text, value: text });

const tensorSchema = z.object({
  dims: wholes,
  dataType: z.number().default(0),
  floats: z.array(z.number()).default([]),
  int32s: z.array(z.number()).default([]),
  int64s: wholes,
  uint64s: wholes,
  doubles: z.array(z.number()).default([]),
  name: text,
  raw: bytes.optional(),
  external: z.array(entry).default([]),
  location: z.number().default(0),
});
export type OnnxTensor = z.infer<typeof tensorSchema>;

const valueInfoSchema = z.object({
  name: text,
  type: z
    .object({
      tensor: z
        .object({
          elementType: z.number().default(0),
          shape: z
            .object({
              dims: z
                .array(z.object({ value: whole.optional(), parameter: z.string().optional() }))
                .default([]),
            })
            .optional(),
        })
        .optional(),
    })
    .optional(),
});
export type OnnxValueInfo = z.infer<typeof valueInfoSchema>;

export interface OnnxAttribute {
  readonly name: string;
  readonly reference: string;
  readonly f?: number | undefined;
  readonly i?: number | undefined;
  readonly s?: Uint8Array | undefined;
  readonly t?: OnnxTensor | undefined;
  readonly g?: OnnxGraph | undefined;
  readonly floats: readonly number[];
  readonly ints: readonly number[];
}

export interface OnnxNode {
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  readonly name: string;
  readonly type: string;
  readonly domain: string;
  readonly attributes: readonly OnnxAttribute[];
  readonly metadata: readonly { readonly key: string; readonly value: string }[];
}

export interface OnnxGraph {
  readonly nodes: readonly OnnxNode[];
  readonly initializers: readonly OnnxTensor[];
  readonly sparseInitializers: readonly unknown[];
  readonly inputs: readonly OnnxValueInfo[];
  readonly outputs: readonly OnnxValueInfo[];
}

const attributeSchema: z.ZodType<OnnxAttribute> = z.lazy(() =>
  z.object({
    name: text,
    reference: text,
    f: z.number().optional(),
    i: whole.optional(),
    s: bytes.optional(),
    t: tensorSchema.optional(),
    g: graphSchema.optional(),
    floats: z.array(z.number()).default([]),
    ints: wholes,
  }),
);

const nodeSchema: z.ZodType<OnnxNode> = z.object({
  inputs: z.array(z.string()).default([]),
  outputs: z.array(z.string()).default([]),
  name: text,
  type: text,
  domain: text,
  attributes: z.array(attributeSchema).default([]),
  metadata: z.array(entry).default([]),
});

const graphSchema: z.ZodType<OnnxGraph> = z.object({
  nodes: z.array(nodeSchema).default([]),
  initializers: z.array(tensorSchema).default([]),
  sparseInitializers: z.array(z.unknown()).default([]),
  inputs: z.array(valueInfoSchema).default([]),
  outputs: z.array(valueInfoSchema).default([]),
});

const functionSchema = z.object({
  name: text,
  domain: text,
  inputs: z.array(z.string()).default([]),
  outputs: z.array(z.string()).default([]),
  nodes: z.array(nodeSchema).default([]),
  attributeDefaults: z.array(attributeSchema).default([]),
});
export type OnnxFunction = z.infer<typeof functionSchema>;

export const onnxModelSchema = z.object({
  opsets: z.array(z.object({ domain: text, version: whole.default(0) })).default([]),
  producer: text,
  producerVersion: text,
  graph: graphSchema.optional(),
  functions: z.array(functionSchema).default([]),
});
export type OnnxModel = z.infer<typeof onnxModelSchema>;
