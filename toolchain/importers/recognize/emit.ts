/** A recognized model as our graph: only what the output needs, in the order of its operands. */
import { userError } from '../../errors.ts';
import type { GraphBuilder } from '../../ir/build.ts';
import { quote } from '../files.ts';
import type { Value } from '../primitive/value.ts';
import { ropeTable } from '../rotary.ts';
import { validName } from './layer-name.ts';
import { residualStream } from './residual-stream.ts';
import {
  computedReals,
  type EmbeddingParts,
  floatsOf,
  type Reals,
  realsOf,
  type Source,
  type SourceOf,
  type WeightMatrix,
} from './source.ts';

export interface EmitOptions {
  /** Rows of the word table that tokens can reach, from the first on. */
  readonly vocabulary: number;
  /** Tokens that a text can have, where no table of positions says it. */
  readonly positions: number;
}

export interface Emitted {
  readonly output: string;
  /** Elements of the constants built, by name, before any optimization. */
  readonly parameters: ReadonlyMap<string, number>;
  /** The tensor that a matrix became. */
  nameOf(source: Source): string | undefined;
}

interface Emitter {
  readonly builder: GraphBuilder;
  readonly options: EmitOptions;
  readonly made: Map<Source, string>;
  readonly names: Set<string>;
  /** Constants of a shape, so that shared weights are stored once. */
  readonly constants: Map<string, { readonly name: string; readonly data: Float32Array }[]>;
  /** Tables of angles by base and head width. */
  readonly angles: Map<string, string>;
  /** Of norms that are made twice, the second. */
  readonly copies: Map<Source, string>;
  readonly stream: ReadonlySet<Source>;
  /** Matrices that are read by others than the residual stream. */
  readonly readBeside: ReadonlySet<Source>;
  parameters: ReadonlyMap<string, number>;
}

export function emitSource(builder: GraphBuilder, output: Source, options: EmitOptions): Emitted {
  const emitter: Emitter = {
    builder,
    options,
    made: new Map(),
    names: new Set(['tokenIds', 'segmentStart']),
    constants: new Map(),
    angles: new Map(),
    copies: new Map(),
    ...residualStream(output),
    parameters: new Map(),
  };
  builder.input('tokenIds', 'int32', ['tokens', 1]);
  builder.input('segmentStart', 'int32', [1, 1]);
  const name = emit(emitter, output);
  return {
    output: name,
    parameters: emitter.parameters,
    nameOf: (source) => emitter.made.get(source),
  };
}

function emit(emitter: Emitter, source: Source): string {
  const done = emitter.made.get(source);
  if (done !== undefined) return done;
  const made = emitNode(emitter, source);
  emitter.made.set(source, made);
  return made;
}

function emitNode(emitter: Emitter, source: Source): string {
  const { builder } = emitter;
  const operand = (input: Source) => emit(emitter, input);
  const name = () => uniqueName(emitter, source.name);
  switch (source.kind) {
    case 'embed':
      return emitEmbedding(emitter, source);
    case 'linear': {
      const x = operand(source.x);
      const layer = name();
      const { outputs } = source.weight;
      const weight = emitWeight(emitter, source.weight, `${layer}.weight`);
      const bias = row(emitter, source.bias, outputs, 0, `${layer}.bias`);
      return builder.node('linear', layer, [x, weight, bias], {});
    }
    case 'layerNorm': {
      const x = operand(source.x);
      const layer = name();
      const gamma = row(emitter, source.gamma, source.columns, 1, `${layer}.weight`);
      const beta = row(emitter, source.beta, source.columns, 0, `${layer}.bias`);
      const { epsilon } = source;
      return builder.node('layerNorm', layer, [x, gamma, beta], { epsilon });
    }
    case 'activation':
      return builder.node('activation', name(), [operand(source.x)], { kind: source.activation });
    case 'attention': {
      const { q, k, v, heads, scale, causal, reach } = source;
      const operands = [operand(q), operand(k), operand(v)];
      const band = reach === null ? {} : { reach };
      return builder.node('attention', name(), operands, { heads, scale, causal, ...band });
    }
    case 'rotary':
      return builder.node('rotary', name(), [operand(source.x), anglesOf(emitter, source)], {});
    case 'gatedProduct': {
      const halves = [operand(source.gate), operand(source.up)];
      return builder.node('gatedProduct', name(), halves, { kind: source.activation });
    }
    case 'add':
      return emitter.stream.has(source)
        ? builder.node('residualAdd', name(), streamOperands(emitter, source), {})
        : builder.node('add', name(), [operand(source.a), operand(source.b)], {});
    case 'scaledAdd': {
      const operands = [operand(source.a), operand(source.b)];
      const layer = name();
      const gamma = row(emitter, source.gamma, source.columns, 1, `${layer}.weight`);
      return builder.node('scaledAdd', layer, [...operands, gamma], {});
    }
    case 'trigrams':
      return builder.node('trigrams', name(), [operand(source.x)], {});
    case 'embedSum': {
      const x = operand(source.x);
      const layer = name();
      return emitSum(emitter, x, source.parts, source.columns, layer);
    }
    case 'selectRow':
      return builder.node('selectRow', name(), [operand(source.x)], { which: source.which });
    case 'meanRows':
      return builder.node('meanRows', name(), [operand(source.x)], {});
    case 'concat':
      return builder.node('concat', name(), source.parts.map(operand), {});
  }
}

/** A norm that opens the stream in int16 is made again for products, which read int8. */
function streamOperands(emitter: Emitter, { a, b }: SourceOf<'add'>): readonly string[] {
  // The one that is made earlier is the stream.
  return [b, a].map((operand) => {
    if (operand.kind !== 'layerNorm' || !emitter.readBeside.has(operand)) {
      return emit(emitter, operand);
    }
    const known = emitter.copies.get(operand);
    if (known !== undefined) return known;
    emit(emitter, operand);
    const own = uncounted(emitter, () => emitNode(emitter, operand));
    emitter.copies.set(operand, own);
    return own;
  });
}

/** Cosines and sines of each position, stored once for all layers of a base. */
function anglesOf(emitter: Emitter, { theta, width }: SourceOf<'rotary'>): string {
  const key = `${theta},${width}`;
  const known = emitter.angles.get(key);
  if (known !== undefined) return known;
  const { rows, table } = ropeTable(theta, emitter.options.positions, width);
  const name = emitter.builder.constant(uniqueName(emitter, `rope.${theta}`), [rows, width], table);
  emitter.angles.set(key, name);
  return name;
}

function uniqueName({ names }: Emitter, wanted: string): string {
  const base = validName(wanted);
  let name = base;
  for (let count = 2; names.has(name); count++) name = `${base}+${count}`;
  names.add(name);
  return name;
}

function emitWeight(emitter: Emitter, weight: WeightMatrix, name: string): string {
  const { outputs, inputs, codes } = weight;
  if (codes === undefined) return constant(emitter, weight, [outputs, inputs], name);
  const own = uniqueName(emitter, name);
  emitter.parameters = new Map(emitter.parameters).set(own, weight.length);
  return emitter.builder.codes(own, [outputs, inputs], new Int8Array(codes.read()), codes.scales);
}

function row(
  emitter: Emitter,
  reals: Reals | null,
  width: number,
  filler: number,
  name: string,
): string {
  if (reals !== null) return constant(emitter, reals, [1, width], name);
  const values = computedReals(width, () => new Float32Array(width).fill(filler));
  return uncounted(emitter, () => constant(emitter, values, [1, width], name));
}

/** What the model does not have, or has once, is no parameter of it. */
function uncounted(emitter: Emitter, make: () => string): string {
  const { parameters } = emitter;
  const name = make();
  emitter.parameters = parameters;
  return name;
}

function constant(
  emitter: Emitter,
  reals: Reals,
  shape: readonly [number, number],
  name: string,
): string {
  const data = new Float32Array(reals.read());
  const strange = data.findIndex((value) => !Number.isFinite(value));
  if (strange >= 0) throw notFinite(reals.name ?? name, strange, data[strange]!);
  // Vectors are small, and layers rarely share them but by chance.
  const isShared = shape[0] > 1;
  const known = emitter.constants.get(shape.join()) ?? [];
  emitter.constants.set(shape.join(), known);
  const same = isShared ? known.find((other) => sameBytes(other.data, data)) : undefined;
  if (same !== undefined) return same.name;
  const own = uniqueName(emitter, name);
  known.push({ name: own, data });
  emitter.parameters = new Map(emitter.parameters).set(own, data.length);
  return emitter.builder.constant(own, shape, data);
}

function notFinite(name: string, index: number, value: number) {
  return userError({
    code: 'not-finite',
    message: `element ${index} of ${quote(name)} is ${value}; weights must be finite in float32`,
    where: `tensor ${quote(name)}`,
    hint: 'The training has diverged or the file is damaged: take another checkpoint.',
  });
}

function sameBytes(a: Float32Array, b: Float32Array): boolean {
  const bytes = ({ buffer, byteOffset, byteLength }: Float32Array) =>
    Buffer.from(buffer, byteOffset, byteLength);
  return bytes(a).equals(bytes(b));
}

function emitEmbedding(emitter: Emitter, source: SourceOf<'embed'>): string {
  const { builder, options } = emitter;
  const { columns } = source;
  const parts = joinConstants(source.parts, columns);
  const { word, position, segment } = parts;
  const layer = uniqueName(emitter, source.name);
  const count = Math.min(options.vocabulary, rowsOf(word!));
  const words = table(emitter, word, [0, count], columns, `${layer}.word`);
  const wordRows = (name: string) =>
    builder.node('lookupRows', name, ['tokenIds', words], { index: 'token' });
  if (position === null && segment === null) return wordRows(layer);
  const rows = wordRows(uniqueName(emitter, `${layer}.words`));
  return emitSum(emitter, rows, parts, columns, layer);
}

/** `rows` and the rows of positions and segments, added up. */
function emitSum(
  emitter: Emitter,
  rows: string,
  { position, segment }: EmbeddingParts,
  columns: number,
  layer: string,
): string {
  const { builder, options } = emitter;
  const positions =
    position === null
      ? table(emitter, null, [0, options.positions], columns, `${layer}.position`)
      : table(
          emitter,
          position.table,
          [position.firstRow, rowsOf(position.table) - position.firstRow],
          columns,
          `${layer}.position`,
        );
  const count = segment === null ? 1 : Math.min(2, rowsOf(segment));
  const segments = table(emitter, segment, [0, count], columns, `${layer}.segment`);
  const inputs = [rows, positions, 'segmentStart', segments];
  return builder.node('embed', layer, inputs, {});
}

/** Some rows of a table; without one zeros. */
function table(
  emitter: Emitter,
  value: Value | null,
  [first, count]: readonly [first: number, count: number],
  columns: number,
  name: string,
): string {
  const made = (read: () => Float32Array) =>
    constant(emitter, computedReals(count * columns, read), [count, columns], name);
  if (value === null)
    return uncounted(emitter, () => made(() => new Float32Array(count * columns)));
  return made(() => floatsOf(value).subarray(first * columns, (first + count) * columns));
}

function rowsOf(value: Value): number {
  return value.shape.at(-2)!;
}

/** Rows that are added to all are a table of one segment, or are added to every row of a table. */
function joinConstants(parts: EmbeddingParts, columns: number): EmbeddingParts {
  const [first, ...more] = parts.constants;
  if (first === undefined) return parts;
  const rows = [first, ...more].map((value) => realsOf(value, columns));
  const sum = (base: Float32Array) =>
    base.map((value, i) => rows.reduce((total, own) => total + own.read()[i % columns]!, value));
  const { segment } = parts;
  const shape = segment?.shape ?? [1, columns];
  const read = () => sum(segment === null ? new Float32Array(columns) : floatsOf(segment));
  return { ...parts, segment: { type: 'float', shape, read }, constants: [] };
}
