/**
 * The text form of a graph, for reading and for tests:
 *
 *   graph quantized "tiny"
 *   input tokenIds: int32[tokens, 1]
 *   constant w: int8[2, 2] scales=float64[0.5 0.25] = 1 2 3 4
 *   constant v: int4[1, 3] scale=0.5 zero=0 = -7 0 7
 *   constant b: int32[1, 200] = #89abcdef
 *   y: int8[tokens, 2] scale=0.1 zero=-3 = linear(x, w, b) name=encoder.dense
 *       multipliers = int32[1073741824 1073741824]
 *       table = null
 *   output y                                        ; a comment
 *
 * A node's name is left out where it is the output's. Indented lines are fields of `integer`. Long
 * data is printed as its CRC-32; read back, it becomes data made from the tensor's name, as does data
 * that is left out.
 */
import { crc32 } from 'node:zlib';
import { type Lm2mcuError, userError } from '../errors.ts';
import { fixedSequence } from '../integers.ts';
import { allocate, type DType, dtypes, type TypedArray } from './dtypes.ts';
import type { Graph, Node, Shape, Stage, Tensor, TensorRole } from './graph.ts';
import { type AnyGraph, isOpName } from './verify.ts';

export interface PrintOptions {
  /** Longer data is printed as its checksum; `Infinity` makes the text complete. */
  readonly maxElements?: number;
}

export function printGraph(graph: Graph<Stage>, { maxElements = 16 }: PrintOptions = {}): string {
  const printArray = (array: DataArray): string => printElements(array, maxElements);
  const declarations = (['input', 'constant'] as const).flatMap((role) =>
    Object.values(graph.tensors)
      .filter((tensor) => tensor.role === role)
      .map((tensor) => {
        const data = tensor.data === undefined ? '' : ` = ${printArray(tensor.data)}`;
        return `${role} ${tensor.name}: ${printType(tensor, maxElements)}${data}`;
      }),
  );
  const nodes = graph.nodes.map((node) => printNode(graph, node, maxElements));
  return [
    `graph ${graph.stage} ${JSON.stringify(graph.name)}`,
    ...declarations,
    ...nodes,
    `output ${graph.outputs.join(' ')}`,
    '',
  ].join('\n');
}

type DataArray = TypedArray | Float64Array;

const arrayTypes = {
  float32: Float32Array,
  float64: Float64Array,
  int8: Int8Array,
  uint8: Uint8Array,
  int16: Int16Array,
  uint16: Uint16Array,
  int32: Int32Array,
  int4: Int8Array,
} as const;
type ArrayTypeName = keyof typeof arrayTypes;

function typeNameOf(array: DataArray): ArrayTypeName {
  const entries = Object.entries(arrayTypes) as [ArrayTypeName, new () => DataArray][];
  return entries.find(([, type]) => array instanceof type)![0];
}

function printType({ dtype, shape, quant }: Tensor, maxElements: number): string {
  const type = `${dtype}[${shape.join(', ')}]`;
  switch (quant?.kind) {
    case undefined:
      return type;
    case 'affine':
      return `${type} scale=${quant.scale} zero=${quant.zeroPoint}`;
    case 'per-row':
      return `${type} scales=${printValue(quant.scales, maxElements)}`;
  }
}

function printNode(graph: Graph<Stage>, node: Node, maxElements: number): string {
  const { name, op, inputs, output, attrs, integer } = node;
  const tensor = graph.tensors[output];
  const type = tensor === undefined ? '?' : printType(tensor, maxElements);
  const words = Object.entries({ ...attrs, ...(name === output ? {} : { name }) }).map(
    ([key, value]) => ` ${key}=${printValue(value, maxElements)}`,
  );
  const fields = Object.entries(integer ?? {}).map(
    ([key, value]) => `\n    ${key} = ${printValue(value, maxElements)}`,
  );
  return `${output}: ${type} = ${op}(${inputs.join(', ')})${words.join('')}${fields.join('')}`;
}

function printValue(value: unknown, maxElements: number): string {
  if (ArrayBuffer.isView(value)) {
    const array = value as DataArray;
    const length = array.length > maxElements ? `${array.length} ` : '';
    return `${typeNameOf(array)}[${length}${printElements(array, maxElements)}]`;
  }
  if (typeof value !== 'object' || value === null) return String(value);
  const fields = Object.entries(value).map(
    ([key, item]) => `${key}=${printValue(item, maxElements)}`,
  );
  return `{${fields.join(' ')}}`;
}

function printElements(array: DataArray, maxElements: number): string {
  if (array.length > maxElements) {
    const bytes = new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
    return `#${crc32(bytes).toString(16).padStart(8, '0')}`;
  }
  const print = array instanceof Float32Array ? shortestFloat32 : String;
  return Array.from(array, print).join(' ');
}

/** The shortest decimal that becomes the same float32. */
function shortestFloat32(value: number): string {
  for (let digits = 1; digits < 9; digits++) {
    const rounded = Number(value.toPrecision(digits));
    if (Math.fround(rounded) === value) return String(rounded);
  }
  return String(value);
}

/** Reads the text form. What is well-formed is returned, whether it keeps the rules or not. */
export function parseGraphText(text: string): AnyGraph {
  const parsed: ParsedGraph = { inputs: [], outputs: [], tensors: new Map(), nodes: [] };
  for (const [index, line] of text.split('\n').entries()) {
    const content = line.replace(/(^|\s);.*$/, '').trimEnd();
    if (content === '') continue;
    const where = `line ${index + 1}`;
    const rule = lineRules.find(({ pattern }) => pattern.test(content));
    if (rule === undefined) throw malformed(`not a line of a graph: ${content.trim()}`, where);
    rule.read(parsed, rule.pattern.exec(content)!.slice(1), where);
  }
  const { stage, name, inputs, outputs, nodes } = parsed;
  if (stage === undefined) throw malformed('there is no line "graph STAGE NAME"', 'line 1');
  const tensors = Object.fromEntries(parsed.tensors);
  // Attributes and integer forms are as they are written; `verify` knows the form of each op.
  return { stage, name, inputs, outputs, tensors, nodes } as unknown as AnyGraph;
}

interface ParsedNode {
  readonly op: string;
  readonly name: string;
  readonly inputs: readonly string[];
  readonly output: string;
  readonly attrs: Readonly<Record<string, unknown>>;
  integer: Record<string, unknown> | null;
}

interface ParsedGraph {
  stage?: string;
  name?: unknown;
  readonly inputs: string[];
  readonly outputs: string[];
  readonly tensors: Map<string, Tensor>;
  readonly nodes: ParsedNode[];
}

interface LineRule {
  readonly pattern: RegExp;
  read(graph: ParsedGraph, groups: readonly string[], where: string): void;
}

const lineRules: readonly LineRule[] = [
  {
    pattern: /^graph (float|quantized|legal) ("(?:[ !#-[\]-\uffff]|\\["\\/bfnrt])*")$/,
    read: (graph, [stage, name]) => {
      graph.stage = stage!;
      graph.name = JSON.parse(name!);
    },
  },
  {
    pattern: /^(input|constant|state) (\S+): (.+?)(?: = (.*))?$/,
    read: (graph, [role, name, type, data], where) => {
      const tensor = parseType(name!, role as TensorRole, type!, where);
      if (role === 'input') graph.inputs.push(name!);
      define(graph, role === 'constant' ? withData(tensor, data, where) : tensor, where);
    },
  },
  {
    pattern: /^output (.*)$/,
    read: (graph, [names]) => {
      graph.outputs.push(...names!.split(' '));
    },
  },
  {
    pattern: /^(\S+): (.+?) = (\w+)\((.*?)\)(.*)$/,
    read: (graph, [output, type, op, operands, words], where) => {
      if (!isOpName(op!)) throw malformed(`there is no op '${op}'`, where);
      const { name = output, ...attrs } = parseFields(words!, where);
      define(graph, parseType(output!, 'activation', type!, where), where);
      graph.nodes.push({
        op,
        name: String(name),
        inputs: operands === '' ? [] : operands!.split(', '),
        output: output!,
        attrs,
        integer: graph.stage === 'float' ? null : {},
      });
    },
  },
  {
    pattern: /^\s+(\w+) = (.*)$/,
    read: (graph, [key, value], where) => {
      const node = graph.nodes.at(-1);
      if (node === undefined) throw malformed('a field before any node', where);
      node.integer = { ...node.integer, ...parseFields(`${key}=${value}`, where) };
    },
  },
];

function define(graph: ParsedGraph, tensor: Tensor, where: string): void {
  if (graph.tensors.has(tensor.name)) throw malformed(`a second '${tensor.name}'`, where);
  graph.tensors.set(tensor.name, tensor);
}

function parseType(name: string, role: TensorRole, text: string, where: string): Tensor {
  const match = /^(\w+)\[(tokens|\d+), (\d+)\](.*)$/.exec(text);
  const [, dtype, rows, columns, words] = match ?? [];
  if (match === null || !Object.hasOwn(dtypes, dtype!)) {
    throw malformed(`not a type: ${text}`, where);
  }
  const shape: Shape = [rows === 'tokens' ? rows : Number(rows), Number(columns)];
  const { scale, zero, scales } = parseFields(words!, where);
  const tensor: Tensor = { name, role, dtype: dtype as DType, shape };
  if (scales instanceof Float64Array) return { ...tensor, quant: { kind: 'per-row', scales } };
  if (typeof scale !== 'number' || typeof zero !== 'number') return tensor;
  return { ...tensor, quant: { kind: 'affine', scale, zeroPoint: zero } };
}

function withData(tensor: Tensor, text: string | undefined, where: string): Tensor {
  const { name, dtype, shape } = tensor;
  const elementType = typeNameOf(allocate(dtype, 0));
  const isOmitted = text === undefined || text.startsWith('#');
  const data = isOmitted
    ? madeUp(elementType, Number(shape[0]) * shape[1], name, where, dtype === 'int4' ? 3 : 4)
    : arrayTypes[elementType].from(text.split(' ').map((word) => parseNumber(word, where)));
  return { ...tensor, data: data as TypedArray };
}

function isArrayTypeName(name: string): name is ArrayTypeName {
  return Object.hasOwn(arrayTypes, name);
}

function parseNumber(word: string, where: string): number {
  const value = Number(word);
  if (word === '' || Number.isNaN(value)) throw malformed(`not a number: '${word}'`, where);
  return value;
}

/** Above a BERT-mini's word table. */
const maxMadeUp = 2 ** 25;

/** Elements from a seed: floats in −1 … 1, integers of so many bits, scales above 0; all exact. */
function madeUp(
  type: ArrayTypeName,
  length: number,
  seed: string,
  where: string,
  bits = 4,
): DataArray {
  if (!(length >= 0 && length <= maxMadeUp)) throw malformed(`${length} elements`, where);
  const random = fixedSequence(crc32(seed));
  const array = new arrayTypes[type](length);
  for (let index = 0; index < length; index++) {
    const value = Math.floor(16 * random());
    if (type === 'float32') array[index] = (value - 8) / 8;
    else array[index] = type === 'float64' ? (value + 1) / 16 : value >>> (4 - bits);
  }
  return array;
}

/** `key=value key=value …` */
function parseFields(text: string, where: string): Record<string, unknown> {
  const words = text.match(/[{}[\]=]|[^\s{}[\]=]+/g) ?? [];
  return readFields({ words, next: 0, where }, undefined);
}

interface WordReader {
  readonly words: readonly string[];
  next: number;
  readonly where: string;
}

function readFields(reader: WordReader, end: string | undefined): Record<string, unknown> {
  const fields: [string, unknown][] = [];
  for (;;) {
    const key = reader.words[reader.next++];
    if (key === end) return Object.fromEntries(fields);
    const equals = reader.words[reader.next++];
    if (key === undefined || equals !== '=') {
      throw malformed(`expected key=value at '${key ?? 'the end'}'`, reader.where);
    }
    fields.push([key, readValue(reader, key)]);
  }
}

const literals = new Map<string, unknown>([
  ['null', null],
  ['true', true],
  ['false', false],
]);

function readValue(reader: WordReader, key: string): unknown {
  const word = reader.words[reader.next++];
  if (word === undefined) throw malformed(`'${key}' has no value`, reader.where);
  if (word === '{') return readFields(reader, '}');
  if (isArrayTypeName(word) && reader.words[reader.next] === '[') {
    reader.next++;
    return readArray(reader, word, key);
  }
  if (literals.has(word)) return literals.get(word);
  return /^[-+.]?\d/.test(word) ? parseNumber(word, reader.where) : word;
}

function readArray(reader: WordReader, type: ArrayTypeName, key: string): DataArray {
  const end = reader.words.indexOf(']', reader.next);
  if (end < 0) throw malformed(`the array of '${key}' has no end`, reader.where);
  const elements = reader.words.slice(reader.next, end);
  reader.next = end + 1;
  if (elements[1]?.startsWith('#')) {
    return madeUp(type, parseNumber(elements[0]!, reader.where), key, reader.where);
  }
  return arrayTypes[type].from(elements.map((word) => parseNumber(word, reader.where)));
}

function malformed(message: string, where: string): Lm2mcuError {
  return userError({
    code: 'bad-graph-text',
    message,
    where,
    hint: 'The form is described at the top of toolchain/ir/text.ts.',
  });
}
