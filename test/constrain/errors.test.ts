/** Each message about constraints, in `errors.txt`. */
import { readFileSync, writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import {
  type ConstraintKind,
  type ConstraintRequest,
  compileConstraint,
} from '../../toolchain/constrain/constraint.ts';
import { formatError, Lm2mcuError } from '../../toolchain/errors.ts';
import { importModel } from '../../toolchain/importers/index.ts';
import { packagePath } from '../../toolchain/package-root.ts';
import { parseBpe } from '../../toolchain/tokenizer/bpe/parse.ts';
import { compileTokenizer } from '../../toolchain/tokenizer/compile.ts';

const decoder = (name: string) => importModel(packagePath('test', 'fixtures', 'decoders', name));
const bpe = decoder('gpt2').tokenizer;
/** It knows the letters of "turn left", and nothing else. */
const letters = [...'turn lef'];
const small = parseBpe({
  pre_tokenizer: { type: 'ByteLevel', add_prefix_space: false, use_regex: true },
  model: {
    type: 'BPE',
    vocab: Object.fromEntries(letters.map((letter, id) => [letter === ' ' ? 'Ġ' : letter, id])),
    merges: [],
  },
});

const long = 'turn left '.repeat(3);
const ref = (to: string) => ({ $ref: to });
type Case = readonly [kind: ConstraintKind, source: unknown, request?: Partial<ConstraintRequest>];
const cases: Readonly<Record<string, Case>> = {
  'no regular expression': ['pattern', '(ab'],
  'a character of a pattern that cannot stand there': ['pattern', 'a**'],
  'look-ahead': ['pattern', 'a(?=b)'],
  'a word boundary': ['pattern', 'ab\\b'],
  'a back-reference': ['pattern', '(a|b)\\1'],
  'an end in the middle': ['pattern', 'a$|b'],
  'a property of characters': ['pattern', '[\\p{L}]+'],
  'a pattern of nothing': ['pattern', 'a[]'],
  'a pattern of the empty text': ['pattern', ''],
  'a pattern that is too large as written': ['pattern', '((a{100}){100}){100}'],
  'a pattern that must remember too much': ['pattern', '(a|b)*a(a|b){20}'],
  'groups in groups': ['pattern', `${'('.repeat(20_000)}a${')'.repeat(20_000)}`],
  'references that double each time': ['json-schema', doubling(24)],
  'a text that is too long': ['pattern', long, { tokenizer: small, ...idsOf(small), maxTokens: 8 }],
  'a pattern without tokens': ['pattern', 'turn (right|up)', { tokenizer: small, ...idsOf(small) }],
  'a character without tokens at the start': [
    ...(['pattern', '…+', { tokenizer: small, ...idsOf(small) }] as const),
  ],
  'a command without tokens': [
    ...(['commands', 'turn left\n\nturn right\n', { tokenizer: small, ...idsOf(small) }] as const),
  ],
  'a schema without tokens': [
    'json-schema',
    { type: 'object', properties: { a: { enum: ['turn'] } }, required: ['a'] },
    { tokenizer: small, ...idsOf(small) },
  ],
  'no commands': ['commands', ' \n\n'],
  'tokens that do not say their text': [
    ...(['pattern', 'a', { tokenizer: decoder('llama').tokenizer }] as const),
  ],
  'no JSON': ['json-schema', '{'],
  'a schema that permits anything': ['json-schema', { description: 'any' }],
  'a schema that is true': ['json-schema', { type: 'array', items: true }],
  'an unknown type': ['json-schema', { type: 'date' }],
  'an unknown keyword': [
    ...(['json-schema', { properties: { 'a/b': { type: 'string', format: 'date' } } }] as const),
  ],
  'a bound of a number': ['json-schema', { type: 'number', minimum: 0 }],
  'items without a schema': ['json-schema', { type: 'array' }],
  'a required property without a schema': ['json-schema', { properties: {}, required: ['x'] }],
  'properties without names': ['json-schema', { type: 'object', additionalProperties: {} }],
  'a pattern and a length': ['json-schema', { type: 'string', pattern: 'a+', maxLength: 3 }],
  'no regular expression in a schema': ['json-schema', { type: 'string', pattern: '[' }],
  'a size that is none': ['json-schema', { type: 'string', maxLength: -1 }],
  'sizes that exclude each other': ['json-schema', { type: 'string', minLength: 3, maxLength: 2 }],
  'no integer between the bounds': ['json-schema', { type: 'integer', minimum: 3, maximum: 2 }],
  'no value of that type': ['json-schema', { type: 'string', enum: [1, 2] }],
  'a schema within itself': [
    'json-schema',
    { ...ref('#/$defs/tree'), $defs: { tree: { type: 'array', items: ref('#/$defs/tree') } } },
  ],
  'a reference to nothing': ['json-schema', ref('#/$defs/nowhere')],
  'a reference elsewhere': ['json-schema', ref('https://example.org/schema')],
  'options that overlap': ['json-schema', { oneOf: [{ type: 'integer' }, { type: 'number' }] }],
};

/** Objects of two objects of two objects … */
function doubling(levels: number) {
  const pair = (level: number) => ({
    type: 'object',
    properties: { a: ref(`#/$defs/${level}`), b: ref(`#/$defs/${level}`) },
    required: ['a', 'b'],
  });
  const levelsOf = Array.from({ length: levels }, (_, level) => [level, pair(level + 1)]);
  return { ...ref('#/$defs/0'), $defs: Object.fromEntries([...levelsOf, [levels, { const: 1 }]]) };
}

function idsOf(tokenizer: Parameters<typeof compileTokenizer>[0]) {
  return { idOrder: compileTokenizer(tokenizer).idOrder, endTokens: [] };
}

test('every message reads as in errors.txt (BLESS=1 rewrites it)', () => {
  const texts = Object.entries(cases).map(([name, [kind, source, request]]) => {
    const text = typeof source === 'string' ? source : JSON.stringify(source);
    return `== ${name}\n${kind}: ${shown(text)}\n${messageOf({
      source: { kind, text },
      ...{ tokenizer: bpe, ...idsOf(bpe), maxTokens: 64, ...request },
    })}\n`;
  });
  const file = packagePath('test/constrain/errors.txt');
  if (process.env['BLESS'] === '1') writeFileSync(file, texts.join('\n'));
  expect(texts.join('\n')).toBe(readFileSync(file, 'utf8'));
});

test('what is said beside a constraint that works', () => {
  const { notes } = compileConstraint({
    source: { kind: 'pattern', text: 'turn( left| up)?' },
    ...{ tokenizer: small, ...idsOf(small), maxTokens: 64 },
  });
  expect(notes).toEqual([
    'The vocabulary has no token with 1 of the bytes that the constraint permits (0x70): texts with them are not generated.',
    'The model has no end token: where a text that is permitted may go on, it does, up to --max-new tokens.',
  ]);
});

/** Long sources are shown in part. */
function shown(text: string): string {
  const line = text.replaceAll('\n', '\\n');
  return line.length > 200 ? `${line.slice(0, 60)} … (${line.length} characters)` : line;
}

function messageOf(request: ConstraintRequest): string {
  try {
    compileConstraint(request);
  } catch (error) {
    if (error instanceof Lm2mcuError) return `${error.kind}: ${formatError(error.details)}`;
    throw error;
  }
  throw new Error('it was compiled');
}
