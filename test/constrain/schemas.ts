/** JSON schemas at random, the values that meet one, and whether a value does: written from the standard. */
import fc from 'fast-check';
import type { Json, JsonObject } from '../../toolchain/constrain/json-schema.ts';

const names = ['a', 'room', 'say "hi"', 'ü', '\n'];

const leaf: fc.Arbitrary<JsonObject> = fc.oneof(
  fc.constant({ type: 'boolean' }),
  fc.constant({ type: ['null', 'boolean'] }),
  fc.constant({ type: 'number' }),
  fc
    .tuple(fc.integer({ min: -50, max: 5000 }), fc.nat(3000))
    .map(([minimum, more]) => ({ type: 'integer', minimum, maximum: minimum + more })),
  fc.tuple(fc.integer({ min: -50, max: 50 }), fc.nat(30)).map(([low, more]) => ({
    ...{ type: 'integer', exclusiveMinimum: low - 0.5, exclusiveMaximum: low + more + 1 },
  })),
  fc
    .tuple(fc.nat(2), fc.nat(4))
    .map(([minLength, more]) => ({ type: 'string', minLength, maxLength: minLength + more })),
  fc.constantFrom({ type: 'string', pattern: '^[a-z"]{1,4}$' }, { type: 'string', pattern: 'b+' }),
  fc
    .uniqueArray(fc.constantFrom<Json>('on', 'off', 3, null, { a: [1] }, '\u0001"'), {
      minLength: 1,
    })
    .map((values) => ({ enum: values })),
  fc.constantFrom<Json>('fixed', 0, false).map((value) => ({ const: value })),
);

export const schemas: fc.Arbitrary<JsonObject> = fc.letrec<{ schema: JsonObject }>((tie) => ({
  schema: fc.oneof(
    { maxDepth: 2, withCrossShrink: true },
    leaf,
    fc.tuple(tie('schema'), fc.nat(2), fc.nat(2)).map(([items, minItems, more]) => ({
      ...{ type: 'array', items, minItems, maxItems: minItems + more },
    })),
    fc
      .tuple(fc.dictionary(fc.constantFrom(...names), tie('schema'), { maxKeys: 3 }), fc.nat(7))
      .map(([properties, mask]) => ({
        ...{ type: 'object', properties, additionalProperties: false },
        required: Object.keys(properties).filter((_, index) => (mask >> index) & 1),
      })),
    fc.array(tie('schema'), { minLength: 1, maxLength: 2 }).map((anyOf) => ({ anyOf })),
  ),
})).schema;

/** Characters that JSON writes as they are, or with a letter behind a backslash. */
const character = fc.constantFrom(...'abé…"\\\n\t/ 𝄞'.match(/./gsu)!);

/** Values that meet the schema, their properties in its order. */
export function valuesOf(schema: JsonObject): fc.Arbitrary<Json> {
  if (schema['anyOf'] !== undefined) {
    return fc.oneof(...(schema['anyOf'] as readonly JsonObject[]).map(valuesOf));
  }
  if (schema['const'] !== undefined) return fc.constant(schema['const']);
  if (schema['enum'] !== undefined) return fc.constantFrom(...(schema['enum'] as readonly Json[]));
  const size = (key: string): number => Number(schema[key]);
  switch (schema['type']) {
    case 'boolean':
      return fc.boolean();
    case 'number':
      return fc.integer({ min: -99999, max: 99999 }).map((value) => value / 100);
    case 'integer': {
      const min = schema['minimum'] ?? Math.ceil(size('exclusiveMinimum'));
      const max = schema['maximum'] ?? size('exclusiveMaximum') - 1;
      return fc.integer({ min: Number(min), max: Number(max) });
    }
    case 'string':
      if (schema['pattern'] === 'b+') return fc.constantFrom('b', 'abba', '"b\n', 'éb');
      if (schema['pattern'] !== undefined) return fc.constantFrom('a', '""', 'zz"z');
      return fc
        .array(character, { minLength: size('minLength'), maxLength: size('maxLength') })
        .map((all) => all.join(''));
    case 'array':
      return fc.array(valuesOf(schema['items'] as JsonObject), {
        ...{ minLength: size('minItems'), maxLength: size('maxItems') },
      });
    case 'object': {
      const properties = schema['properties'] as Record<string, JsonObject>;
      const required = schema['required'] as readonly string[];
      const all = Object.entries(properties).map(([name, part]) =>
        fc
          .tuple(fc.boolean(), valuesOf(part))
          .map(([isThere, value]): readonly (readonly [string, Json])[] =>
            isThere || required.includes(name) ? [[name, value]] : [],
          ),
      );
      return fc.tuple(...all).map((parts) => Object.fromEntries(parts.flat()));
    }
    default:
      return fc.constantFrom(null, true);
  }
}

export function meets(schema: JsonObject, value: Json): boolean {
  if (schema['anyOf'] !== undefined) {
    return (schema['anyOf'] as readonly JsonObject[]).some((one) => meets(one, value));
  }
  const same = (other: Json) => JSON.stringify(other) === JSON.stringify(value);
  if (schema['const'] !== undefined) return same(schema['const']);
  if (schema['enum'] !== undefined) return (schema['enum'] as readonly Json[]).some(same);
  const limit = (key: string, without: number): number => Number(schema[key] ?? without);
  switch (schema['type']) {
    case 'boolean':
      return typeof value === 'boolean';
    case 'number':
      return typeof value === 'number';
    case 'integer':
      return (
        Number.isInteger(value) &&
        Number(value) >= limit('minimum', Number.NEGATIVE_INFINITY) &&
        Number(value) <= limit('maximum', Number.POSITIVE_INFINITY) &&
        Number(value) > limit('exclusiveMinimum', Number.NEGATIVE_INFINITY) &&
        Number(value) < limit('exclusiveMaximum', Number.POSITIVE_INFINITY)
      );
    case 'string': {
      if (typeof value !== 'string') return false;
      const length = [...value].length;
      return (
        length >= limit('minLength', 0) &&
        length <= limit('maxLength', Number.POSITIVE_INFINITY) &&
        new RegExp(String(schema['pattern'] ?? ''), 'u').test(value)
      );
    }
    case 'array':
      return (
        Array.isArray(value) &&
        value.length >= limit('minItems', 0) &&
        value.length <= limit('maxItems', Number.POSITIVE_INFINITY) &&
        value.every((item) => meets(schema['items'] as JsonObject, item))
      );
    case 'object': {
      if (typeof value !== 'object' || value === null || Array.isArray(value)) return false;
      const properties = schema['properties'] as Record<string, JsonObject>;
      return (
        (schema['required'] as readonly string[]).every((name) => Object.hasOwn(value, name)) &&
        Object.entries(value as JsonObject).every(
          ([name, part]) => Object.hasOwn(properties, name) && meets(properties[name]!, part),
        )
      );
    }
    default:
      return value === null || typeof value === 'boolean';
  }
}
