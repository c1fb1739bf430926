/**
 * A JSON schema to an expression of the compact JSON that meets it: no white space, properties in the
 * schema's order, strings with the escapes that JSON.stringify writes.
 *
 *   type          object, array, string, integer, number, boolean, null, or a list of them
 *   object        properties, required; no properties but those named are written
 *   array         items, minItems, maxItems
 *   string        minLength, maxLength, or pattern
 *   integer       minimum, maximum, exclusiveMinimum, exclusiveMaximum; at most 15 digits
 *   number        at most 15 digits on each side of the point, no exponent
 *   any of them   enum, const, anyOf, oneOf where no value meets two options, $ref to this document
 *
 * Any other keyword that could forbid something is refused with its JSON pointer: what is written meets
 * the schema, always.
 */
import { userError } from '../errors.ts';
import {
  type CharacterSet,
  choice,
  difference,
  type Expression,
  everyCharacter,
  intersection,
  literal,
  nothing,
  optional,
  repeat,
  sequence,
  single,
  union,
} from './expression.ts';
import { boundedInteger, largestInteger } from './json-integer.ts';
import { anything, parsePattern } from './pattern.ts';
import { areDisjoint } from './schema-values.ts';

export type Json = null | boolean | number | string | readonly Json[] | JsonObject;
export interface JsonObject {
  readonly [key: string]: Json;
}

/** A part of the document, and where it is. */
export interface Schema {
  readonly value: JsonObject;
  /** JSON pointer, as a fragment: `#/properties/name`. */
  readonly pointer: string;
  readonly root: Json;
  /** What schemas that were referred to have become, by pointer. */
  readonly known: Map<string, Expression>;
  /** References that led here. */
  readonly through: readonly string[];
}

/** `file`: its name, for messages. */
export function parseSchema(text: string, file = '#'): Expression {
  let root: Json;
  try {
    root = JSON.parse(text);
  } catch {
    // What JSON.parse says quotes the text, line ends and all.
    throw badSchema(file, 'it is not JSON', 'It must be a JSON file that holds one JSON schema.');
  }
  return expressionOf(schemaAt(root, '#', { root, known: new Map(), through: [] }));
}

const annotations = new Set([
  ...['$schema', '$id', '$comment', '$defs', 'definitions', 'title', 'description'],
  ...['default', 'examples', 'deprecated', 'readOnly', 'writeOnly'],
]);

const keywordsOf = {
  object: ['properties', 'required', 'additionalProperties'],
  array: ['items', 'minItems', 'maxItems'],
  string: ['minLength', 'maxLength', 'pattern'],
  integer: ['minimum', 'maximum', 'exclusiveMinimum', 'exclusiveMaximum'],
  number: [],
  boolean: [],
  null: [],
} as const satisfies Record<string, readonly string[]>;
type TypeName = keyof typeof keywordsOf;

function expressionOf(schema: Schema): Expression {
  const { value } = schema;
  if (value['$ref'] !== undefined) {
    checkKeywords(schema, ['$ref']);
    const target = referred(schema);
    const known = schema.known.get(target.pointer);
    if (known !== undefined) return known;
    const found = expressionOf(target);
    schema.known.set(target.pointer, found);
    return found;
  }
  for (const key of ['anyOf', 'oneOf'] as const) {
    if (value[key] === undefined) continue;
    checkKeywords(schema, [key]);
    const options = schemasIn(schema, key);
    if (key === 'oneOf') checkDisjoint(schema, options);
    return choice(options.map(expressionOf));
  }
  const types = typesOf(schema);
  if (value['const'] !== undefined || value['enum'] !== undefined) return valuesOf(schema, types);
  checkKeywords(schema, ['type', ...types.flatMap((type): readonly string[] => keywordsOf[type])]);
  return choice(types.map((type) => typed(schema, type)));
}

function typed(schema: Schema, type: TypeName): Expression {
  switch (type) {
    case 'object':
      return objectOf(schema);
    case 'array':
      return arrayOf(schema);
    case 'string':
      return stringOf(schema);
    case 'integer':
      return integerOf(schema);
    case 'number':
      return numberOf(schema);
    case 'boolean':
      return choice([textAt(schema, 'true'), textAt(schema, 'false')]);
    case 'null':
      return textAt(schema, 'null');
  }
}

/** Types that are named, or that the keywords tell. */
function typesOf(schema: Schema): readonly TypeName[] {
  const { value, pointer } = schema;
  const { type } = value;
  if (type === undefined) {
    const told = (['object', 'array', 'string'] as const).filter((name) =>
      keywordsOf[name].some((keyword) => value[keyword] !== undefined),
    );
    if (told.length === 1 || value['const'] !== undefined || value['enum'] !== undefined)
      return told;
    throw badSchema(pointer, 'it permits any JSON: it has no type');
  }
  const names = Array.isArray(type) ? type : [type];
  const wrong = names.find((name) => typeof name !== 'string' || !Object.hasOwn(keywordsOf, name));
  if (wrong !== undefined || names.length === 0) {
    throw badSchema(`${pointer}/type`, `${JSON.stringify(wrong ?? type)} is no type`);
  }
  return names;
}

function valuesOf(schema: Schema, types: readonly TypeName[]): Expression {
  const { value, pointer } = schema;
  checkKeywords(schema, ['type', 'const', 'enum']);
  const all = value['const'] === undefined ? value['enum'] : [value['const']];
  if (!Array.isArray(all)) throw badSchema(`${pointer}/enum`, 'it is no list');
  const values = (all as readonly Json[]).filter(
    (one) => types.length === 0 || types.some((type) => hasType(one, type)),
  );
  if (values.length === 0) throw badSchema(pointer, 'no value meets it');
  return choice(values.map((one) => textAt(schema, JSON.stringify(one))));
}

function hasType(value: Json, type: TypeName): boolean {
  if (type === 'integer') return Number.isInteger(value);
  if (type === 'array') return Array.isArray(value);
  if (type === 'null') return value === null;
  if (type === 'object') return isObject(value);
  return typeof value === type;
}

function objectOf(schema: Schema): Expression {
  const { value, pointer } = schema;
  const { properties = {}, required = [], additionalProperties = false } = value;
  if (!isObject(properties)) throw badSchema(`${pointer}/properties`, 'it is no object');
  if (!Array.isArray(required)) throw badSchema(`${pointer}/required`, 'it is no list');
  if (typeof additionalProperties !== 'boolean') {
    throw badSchema(
      `${pointer}/additionalProperties`,
      'properties without names cannot be compiled',
    );
  }
  const missing = required.find((name) => !Object.hasOwn(properties, String(name)));
  if (missing !== undefined) {
    throw badSchema(
      `${pointer}/required`,
      `${JSON.stringify(missing)} is not among the properties`,
    );
  }
  const members = Object.entries(properties).map(([name, part]) => ({
    isRequired: required.includes(name),
    member: sequence(
      textAt(schema, `${JSON.stringify(name)}:`),
      expressionOf(schemaAt(part, `${pointer}/properties/${escapePointer(name)}`, schema)),
    ),
  }));
  const comma = textAt(schema, ',');
  /** What may follow a member. */
  let rest = nothing;
  /** What may follow the brace. */
  let all = nothing;
  for (const { member, isRequired } of members.toReversed()) {
    const first = sequence(member, rest);
    all = isRequired ? first : choice([first, all]);
    const next = sequence(comma, member);
    rest = sequence(isRequired ? next : optional(next), rest);
  }
  return sequence(textAt(schema, '{'), all, textAt(schema, '}'));
}

function arrayOf(schema: Schema): Expression {
  const { value, pointer } = schema;
  const [least, most] = sizes(schema, 'minItems', 'maxItems');
  const [open, close, comma] = [...'[],'].map((text) => textAt(schema, text));
  if (most === 0) return sequence(open!, close!);
  if (value['items'] === undefined) throw badSchema(pointer, 'its items have no schema');
  const item = expressionOf(schemaAt(value['items'], `${pointer}/items`, schema));
  const items = sequence(item, repeat(sequence(comma!, item), Math.max(0, least - 1), most - 1));
  return sequence(open!, least === 0 ? optional(items) : items, close!);
}

function stringOf(schema: Schema): Expression {
  const { value, pointer } = schema;
  const [least, most] = sizes(schema, 'minLength', 'maxLength');
  const quote = textAt(schema, '"');
  const { pattern } = value;
  if (pattern === undefined) {
    return sequence(quote, repeat(quoted(everyCharacter, pointer), least, most), quote);
  }
  if (typeof pattern !== 'string') throw badSchema(`${pointer}/pattern`, 'it is no text');
  if (value['minLength'] !== undefined || value['maxLength'] !== undefined) {
    throw badSchema(`${pointer}/pattern`, 'a pattern and a length together cannot be compiled');
  }
  const parsed = parsePattern(pattern, `${pointer}/pattern`);
  // A pattern holds anywhere in the string, where it does not say otherwise.
  const whole = sequence(
    parsed.startsText ? nothing : anything(pointer),
    parsed.expression,
    parsed.endsText ? nothing : anything(pointer),
  );
  return sequence(quote, quotedExpression(whole), quote);
}

/** Characters that JSON.stringify writes as a backslash and a letter. */
const escapes: readonly (readonly [character: string, letter: string])[] = [
  ...([
    ['"', '"'],
    ['\\', '\\'],
    ['\b', 'b'],
    ['\f', 'f'],
  ] as const),
  ...([
    ['\n', 'n'],
    ['\r', 'r'],
    ['\t', 't'],
  ] as const),
];
const control = { first: 0, last: 0x1f };
const escaped = union([control, single(0x22), single(0x5c)]);

/** Other control characters, which JSON writes as \u and four digits, are not said. */
function quoted(set: CharacterSet, origin: string): Expression {
  const plain = difference(set, escaped);
  const letters = escapes
    .filter(([character]) => intersection(set, [single(character.charCodeAt(0))]).length > 0)
    .map(([, letter]) => single(letter.charCodeAt(0)));
  const character = (of: CharacterSet): Expression => ({ kind: 'character', set: of, origin });
  return choice([
    ...(plain.length === 0 ? [] : [character(plain)]),
    ...(letters.length === 0
      ? []
      : [sequence(character([single(0x5c)]), character(union(letters)))]),
  ]);
}

/** The same texts inside quotes. */
function quotedExpression(expression: Expression): Expression {
  switch (expression.kind) {
    case 'character':
      return quoted(expression.set, expression.origin);
    case 'sequence':
      return sequence(...expression.parts.map(quotedExpression));
    case 'choice':
      return choice(expression.options.map(quotedExpression));
    case 'repeat':
      return { ...expression, part: quotedExpression(expression.part) };
  }
}

function integerOf(schema: Schema): Expression {
  const bound = (key: string, without: number): number => {
    const value = schema.value[key] ?? without;
    if (typeof value === 'number') return value;
    throw badSchema(`${schema.pointer}/${key}`, 'it is no number');
  };
  const least = Math.max(
    -largestInteger,
    Math.ceil(bound('minimum', -largestInteger)),
    Math.floor(bound('exclusiveMinimum', -largestInteger - 1)) + 1,
  );
  const most = Math.min(
    largestInteger,
    Math.floor(bound('maximum', largestInteger)),
    Math.ceil(bound('exclusiveMaximum', largestInteger + 1)) - 1,
  );
  if (least > most) throw badSchema(schema.pointer, 'no integer meets it');
  return boundedInteger(least, most, (text) => textAt(schema, text), schema.pointer);
}

function numberOf(schema: Schema): Expression {
  const { pointer } = schema;
  const set = [{ first: 0x30, last: 0x39 }];
  const digits = repeat({ kind: 'character', set, origin: pointer }, 1, 15);
  const fraction = optional(sequence(textAt(schema, '.'), digits));
  const whole = boundedInteger(0, largestInteger, (text) => textAt(schema, text), pointer);
  return sequence(optional(textAt(schema, '-')), whole, fraction);
}

function sizes(
  { value, pointer }: Schema,
  leastKey: string,
  mostKey: string,
): readonly [least: number, most: number] {
  const read = (key: string, without: number): number => {
    const size = value[key];
    if (size === undefined) return without;
    if (typeof size === 'number' && Number.isInteger(size) && size >= 0) return size;
    throw badSchema(`${pointer}/${key}`, 'it is no size');
  };
  const [least, most] = [read(leastKey, 0), read(mostKey, Number.POSITIVE_INFINITY)];
  if (least > most) throw badSchema(pointer, `${leastKey} is above ${mostKey}`);
  return [least, most];
}

function checkDisjoint({ pointer }: Schema, options: readonly Schema[]): void {
  options.forEach((option, index) => {
    const other = options.slice(0, index).find((earlier) => !areDisjoint(earlier, option));
    if (other === undefined) return;
    throw badSchema(
      `${pointer}/oneOf`,
      `a value may meet both ${other.pointer} and ${option.pointer}, for all that can be told`,
      'Use anyOf, or give both a required property with different const.',
    );
  });
}

/** The schema that a reference names. */
export function referred(schema: Schema): Schema {
  const { value, pointer, root, known, through } = schema;
  const target = value['$ref'];
  if (typeof target !== 'string' || !/^#(\/|$)/.test(target)) {
    throw badSchema(`${pointer}/$ref`, `${JSON.stringify(target)} is not in this document`);
  }
  if (through.includes(target)) {
    throw badSchema(
      `${pointer}/$ref`,
      `${target} holds itself, so that values could be nested without end`,
      'Write as many levels as there are, each with a schema of its own.',
    );
  }
  const found = target
    .split('/')
    .slice(1)
    .map((part) => decodeURIComponent(part).replaceAll('~1', '/').replaceAll('~0', '~'))
    .reduce<Json | undefined>(
      (at, key) => (isObject(at) && Object.hasOwn(at, key) ? at[key] : undefined),
      root,
    );
  if (found === undefined) throw badSchema(`${pointer}/$ref`, `there is no ${target}`);
  return schemaAt(found, target, { root, known, through: [...through, target] });
}

/** The list of schemas behind a keyword. */
function schemasIn(schema: Schema, key: string): readonly Schema[] {
  const list = schema.value[key];
  const pointer = `${schema.pointer}/${key}`;
  if (!Array.isArray(list) || list.length === 0)
    throw badSchema(pointer, 'it is no list of schemas');
  return list.map((one: Json, index) => schemaAt(one, `${pointer}/${index}`, schema));
}

export function schemaAt(
  value: Json,
  pointer: string,
  { root, known, through }: Pick<Schema, 'root' | 'known' | 'through'>,
): Schema {
  if (!isObject(value))
    throw badSchema(pointer, `${JSON.stringify(value)} is no schema with a type`);
  return { value, pointer, root, known, through };
}

function checkKeywords({ value, pointer }: Schema, known: readonly string[]): void {
  const other = Object.keys(value).find((key) => !known.includes(key) && !annotations.has(key));
  if (other === undefined) return;
  throw badSchema(
    `${pointer}/${escapePointer(other)}`,
    `the keyword ${JSON.stringify(other)} cannot be compiled here`,
    `Possible here are ${known.join(', ')}; README.md has all, under “Constrained text”.`,
  );
}

export function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

export function escapePointer(key: string): string {
  return key.replaceAll('~', '~0').replaceAll('/', '~1');
}

function textAt({ pointer }: Schema, text: string): Expression {
  return literal(text, () => pointer);
}

function badSchema(where: string, problem: string, hint?: string) {
  return userError({
    code: 'bad-schema',
    message: `the JSON schema cannot be compiled: ${problem}`,
    where,
    hint: hint ?? 'README.md says which schemas can, under “Constrained text”.',
  });
}
