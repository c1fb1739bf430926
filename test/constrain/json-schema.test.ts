/** What is written meets the schema, whatever a model would like to say; what meets it can be written. */
import { readFileSync } from 'node:fs';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { byteAutomaton, sourceAutomaton } from '../../toolchain/constrain/byte-automaton.ts';
import { compileConstraint } from '../../toolchain/constrain/constraint.ts';
import { parseSchema } from '../../toolchain/constrain/json-schema.ts';
import { tokenAutomaton } from '../../toolchain/constrain/token-automaton.ts';
import { constrainedWriter } from '../../toolchain/generate/constrained.ts';
import { tokenChooser } from '../../toolchain/generate/sample.ts';
import { textOf } from '../../toolchain/generate/text.ts';
import { packagePath } from '../../toolchain/package-root.ts';
import { parseBpe } from '../../toolchain/tokenizer/bpe/parse.ts';
import { compileTokenizer } from '../../toolchain/tokenizer/compile.ts';
import { meets, schemas, valuesOf } from './schemas.ts';
import { accepts, vocabularyOf } from './texts.ts';

const numRuns = Number(process.env['LM2MCU_PROPERTY_RUNS'] ?? 60);
const tokenizer = parseBpe(
  JSON.parse(readFileSync(packagePath('examples', 'package-writer', 'tokenizer.json'), 'utf8')),
);
const { idOrder } = compileTokenizer(tokenizer);
const endTokens = [idOrder.indexOf(0)];

test('random logits write JSON that meets the schema, in as many tokens as there are', () => {
  fc.assert(
    fc.property(schemas, fc.nat(), fc.nat(20), fc.boolean(), (schema, seed, more, hasEnd) => {
      const { constraint } = compileConstraint({
        source: { kind: 'json-schema', text: JSON.stringify(schema) },
        ...{ tokenizer, idOrder, endTokens: hasEnd ? endTokens : [], maxTokens: 1000 },
      });
      const choose = tokenChooser(0.01, { temperature: 2000, topK: 0, topP: 1000, seed });
      const writer = constrainedWriter(choose, constraint);
      const most = constraint.distances[0]! + more;
      const ids: number[] = [];
      while (ids.length < most && !writer.isOver()) {
        const logits = Int16Array.from(
          idOrder,
          (_, id) => (id * 7919 + ids.length * 31 + seed) % 997,
        );
        const id = writer.next(logits, most - ids.length);
        if (id === null || endTokens.includes(id)) break;
        ids.push(id);
      }
      expect(writer.isComplete()).toBe(true);
      const text = textOf(
        tokenizer,
        ids.map((id) => idOrder[id]!),
      );
      expect(meets(schema, JSON.parse(text)), `${JSON.stringify(schema)} ${text}`).toBe(true);
    }),
    { numRuns },
  );
});

test('all values that meet the schema can be written', () => {
  const letters = [...new Set('{}[]:,"\\0123456789-.abcdefghijklmnopqrstuvwxyz é…ü/𝄞')];
  const withValues = schemas.chain((schema) =>
    fc.tuple(fc.constant(schema), fc.array(valuesOf(schema), { minLength: 1, maxLength: 5 })),
  );
  fc.assert(
    fc.property(withValues, ([schema, values]) => {
      const bytes = byteAutomaton(sourceAutomaton(parseSchema(JSON.stringify(schema))))!;
      const automaton = tokenAutomaton(bytes, vocabularyOf(letters))!;
      for (const value of values) {
        const text = JSON.stringify(value);
        expect(accepts(automaton, letters, text), `${JSON.stringify(schema)} ${text}`).toBe(true);
      }
    }),
    { numRuns },
  );
});

test('references and options', () => {
  const schema = {
    $defs: { room: { enum: ['hall', 'attic'] } },
    oneOf: [
      {
        type: 'object',
        properties: {
          do: { const: 'light' },
          room: { $ref: '#/$defs/room' },
          on: { type: 'boolean' },
        },
        required: ['do', 'room'],
      },
      {
        type: 'object',
        properties: {
          do: { const: 'wait' },
          minutes: { type: 'integer', minimum: 1, maximum: 90 },
        },
        required: ['do', 'minutes'],
      },
    ],
  };
  const letters = [...new Set('{}:,"0123456789abcdefghijklmnopqrstuvwxyz')];
  const bytes = byteAutomaton(sourceAutomaton(parseSchema(JSON.stringify(schema))))!;
  const automaton = tokenAutomaton(bytes, vocabularyOf(letters))!;
  const isPermitted = (text: string) => accepts(automaton, letters, text);
  expect(isPermitted('{"do":"light","room":"attic"}')).toBe(true);
  expect(isPermitted('{"do":"light","room":"attic","on":false}')).toBe(true);
  expect(isPermitted('{"do":"wait","minutes":90}')).toBe(true);
  expect(isPermitted('{"do":"wait","minutes":91}')).toBe(false);
  expect(isPermitted('{"do":"light","minutes":9}')).toBe(false);
  expect(isPermitted('{"room":"attic","do":"light"}')).toBe(false);
});
