/**
 * Whether two schemas have no value in common, as far as types and constants tell, their own or those of
 * a property that both require.
 */
import { isObject, type Json, referred, type Schema, schemaAt } from './json-schema.ts';

export function areDisjoint(a: Schema, b: Schema): boolean {
  const [first, second] = [resolved(a), resolved(b)];
  return (
    areOthers(first, second) ||
    requiredIn(first).some((name) => {
      const [one, other] = [propertyOf(first, name), propertyOf(second, name)];
      return requiredIn(second).includes(name) && one !== null && other !== null
        ? areOthers(resolved(one), resolved(other))
        : false;
    })
  );
}

function areOthers(a: Schema, b: Schema): boolean {
  return haveOtherTypes(a.value['type'], b.value['type']) || haveOtherValues(a, b);
}

function resolved(schema: Schema): Schema {
  return schema.value['$ref'] === undefined ? schema : resolved(referred(schema));
}

/** Integers are numbers. */
function haveOtherTypes(a: Json | undefined, b: Json | undefined): boolean {
  if (a === undefined || b === undefined) return false;
  const names = (type: Json) =>
    (Array.isArray(type) ? type : [type]).map((name) => (name === 'integer' ? 'number' : name));
  return names(a).every((name) => !names(b).includes(name));
}

function haveOtherValues(a: Schema, b: Schema): boolean {
  const [first, second] = [constantsOf(a), constantsOf(b)];
  if (first === null || second === null) return false;
  return first.every((value) => !second.includes(value));
}

function constantsOf({ value }: Schema): readonly string[] | null {
  if (value['const'] !== undefined) return [JSON.stringify(value['const'])];
  const all = value['enum'];
  return Array.isArray(all) ? all.map((one: Json) => JSON.stringify(one)) : null;
}

function requiredIn({ value }: Schema): readonly string[] {
  const names = value['required'];
  return isObject(value['properties']) && Array.isArray(names) ? names.map(String) : [];
}

function propertyOf(schema: Schema, name: string): Schema | null {
  const properties = schema.value['properties'];
  const part = isObject(properties) ? properties[name] : undefined;
  return isObject(part) ? schemaAt(part, `${schema.pointer}/properties/${name}`, schema) : null;
}
