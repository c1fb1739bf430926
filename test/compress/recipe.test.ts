/** Recipes on disk, what following one means, and every message about those that do not fit. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, test } from 'vitest';
import { applyRecipe } from '../../toolchain/compress/apply-recipe.ts';
import { decodeTable } from '../../toolchain/compress/coded-table.ts';
import type { Recipe } from '../../toolchain/compress/recipe.ts';
import { readRecipeFile, writeRecipe } from '../../toolchain/compress/recipe-file.ts';
import { interpret } from '../../toolchain/emulate/interpreter.ts';
import { formatError, Lm2mcuError } from '../../toolchain/errors.ts';
import { importModel } from '../../toolchain/importers/index.ts';
import { realValues } from '../../toolchain/ir/graph.ts';
import { packagePath } from '../../toolchain/package-root.ts';
import { encode } from '../../toolchain/tokenizer/encode.ts';
import { fixturePath } from '../ir/graphs.ts';
import { randomTable, type TableKind, tableKinds } from './random-tables.ts';

const folder = mkdtempSync(join(tmpdir(), 'lm2mcu-recipe-'));
afterAll(() => rmSync(folder, { recursive: true }));

const model = importModel(fixturePath('seqcls-gelu'));
const words = 'embeddings.word_embeddings.weight';
const positions = 'embeddings.position_embeddings.weight';
const query = 'encoder.layer.0.attention.self.query';
const shapeOf = (name: string) => model.graph.tensors[name]!.shape as readonly [number, number];

function numbers(seed: number): () => number {
  let state = 1 + seed;
  return () => {
    state = (state * 48_271) % 0x7fff_ffff; // Lehmer's generator with Park and Miller's constants
    return (2 * state) / 0x7fff_ffff - 1;
  };
}

const empty: Recipe = {
  modelSha256: model.card.sha256,
  tables: {},
  weights: {},
  constants: {},
  droppedTokens: new Int32Array(),
  provenance: {},
};

function recipeOf(word: TableKind, position: TableKind | null, seed: number): Recipe {
  const random = numbers(seed);
  const table = (name: string, kind: TableKind) => [
    name,
    randomTable(kind, ...shapeOf(name), random),
  ];
  const [outputs, inputs] = shapeOf(`${query}.weight`);
  return {
    ...empty,
    tables: Object.fromEntries([
      table(words, word),
      ...(position === null ? [] : [table(positions, position)]),
    ]),
    weights: {
      [`${query}.weight`]: {
        bits: 4,
        codes: Int8Array.from({ length: outputs * inputs }, () => Math.round(7 * random())),
        scales: Float32Array.from({ length: outputs }, () => (1.5 + random()) / 20),
      },
    },
    constants: { [`${query}.bias`]: Float32Array.from({ length: outputs }, () => random()) },
    provenance: { method: 'made up', losses: [0.1, null], data: { sha256: 'none' } },
  };
}

const recipes = fc
  .tuple(fc.constantFrom(...tableKinds), fc.constantFrom(null, ...tableKinds), fc.nat(1000))
  .map(([word, position, seed]) => recipeOf(word, position, seed));

test('a recipe comes back from its files, which are always the same bytes', () => {
  const path = join(folder, 'recipe.json');
  fc.assert(
    fc.property(recipes, (recipe) => {
      const paths = writeRecipe(path, recipe);
      const bytes = paths.map((one) => readFileSync(one));
      const read = readRecipeFile(path);
      expect(read.recipe).toEqual(recipe);
      writeRecipe(path, read.recipe);
      expect(paths.map((one) => readFileSync(one))).toEqual(bytes);
    }),
    { numRuns: 20, seed: 1 },
  );
});

test('the model that follows a recipe has the tables and weights that its codes stand for', () => {
  const tokens = { ids: [2, 7, 9, 30, 101, 3], segmentStart: 4 };
  fc.assert(
    fc.property(recipes, (recipe) => {
      const { graph } = applyRecipe(model, recipe);
      const tensors = { ...model.graph.tensors };
      for (const [name, table] of Object.entries(recipe.tables)) {
        const data = decodeTable(table) as Float32Array<ArrayBuffer>;
        tensors[name] = { ...tensors[name]!, data };
      }
      for (const name of Object.keys(recipe.weights)) {
        tensors[name] = { ...tensors[name]!, data: realValues(graph.tensors[name]!) };
      }
      for (const [name, data] of Object.entries(recipe.constants)) {
        tensors[name] = { ...tensors[name]!, data: data as Float32Array<ArrayBuffer> };
      }
      const expected = interpret({ ...model.graph, tensors }, tokens)[0]!.data;
      const found = interpret(graph, tokens)[0]!.data;
      // Sums of float32 in another order.
      for (const [index, value] of expected.entries()) expect(found[index]).toBeCloseTo(value, 3);
    }),
    { numRuns: 20, seed: 2 },
  );
});

describe('tokens that are dropped', () => {
  const { tokenizer } = model;
  const unknownId = tokenizer.vocabulary.indexOf('[UNK]');
  const idOf = (text: string) => tokenizer.vocabulary.indexOf(text);
  const isDroppable = (id: number) => {
    try {
      applyRecipe(model, { ...empty, droppedTokens: Int32Array.of(id) });
      return true;
    } catch {
      return false; // a special token, or one without pieces
    }
  };
  const droppable = [...tokenizer.vocabulary.keys()].filter(isDroppable);

  test('become their pieces; other texts stay as they are', () => {
    expect(droppable.length).toBeGreaterThan(10);
    for (const id of droppable) {
      const droppedTokens = Int32Array.of(id);
      const { tokenizer: without } = applyRecipe(model, { ...empty, droppedTokens });
      const token = tokenizer.vocabulary[id]!;
      if (token.startsWith('##')) continue;
      const before = [...encode(tokenizer, token, undefined, 40).ids];
      if (!before.includes(id)) continue; // no text leads to it
      const after = [...encode(without, token, undefined, 40).ids];
      expect(after).not.toContain(id);
      expect(after).not.toContain(unknownId);
      const pieces = after.map((one) => tokenizer.vocabulary[one]!.replace(/^##/, ''));
      expect(pieces.slice(1, -1).join('')).toBe(token);
      for (const other of tokenizer.vocabulary.slice(5, 60)) {
        const ids = encode(tokenizer, other, undefined, 40).ids;
        if (ids.includes(id)) continue;
        expect(encode(without, other, undefined, 40).ids).toEqual(ids);
      }
    }
  });

  test('are the same for graphs: logits of other texts do not change', () => {
    const droppedTokens = Int32Array.from(droppable.slice(0, 1));
    const followed = applyRecipe(model, { ...empty, droppedTokens });
    expect(followed.graph).toEqual(model.graph);
    expect(idOf('[CLS]')).toBe(followed.tokenizer.vocabulary.indexOf('[CLS]'));
  });
});

const word = randomTable('rows 4', ...shapeOf(words), numbers(1));
const clusters = randomTable('clusters', ...shapeOf(words), numbers(2));
const codebooks = randomTable('codebooks', ...shapeOf(words), numbers(3));
const bad: Readonly<Record<string, Partial<Recipe>>> = {
  'a recipe for another model': { modelSha256: '0'.repeat(64) },
  'a table that is none': { tables: { 'encoder.layer.0': word } },
  'a table of another shape': { tables: { [positions]: word } },
  'codes of too many bits': {
    tables: {
      [words]: {
        ...word,
        codes: new Int8Array(shapeOf(words)[0] * shapeOf(words)[1]).fill(9),
      } as never,
    },
  },
  'a scale of zero': { tables: { [words]: { ...word, scales: Float32Array.of(0) } as never } },
  'a cluster that does not exist': {
    tables: {
      [words]: { ...clusters, clusterOf: new Uint8Array(shapeOf(words)[0]).fill(200) } as never,
    },
  },
  'a codebook without entries': {
    tables: {
      [words]: {
        ...codebooks,
        stages: [{ firstColumn: 0, columns: 1, entries: new Float32Array() }],
      } as never,
    },
  },
  'a weight that is none': {
    weights: { [words]: { bits: 4, codes: new Int8Array(), scales: new Float32Array() } },
  },
  'a weight with too few codes': {
    weights: {
      [`${query}.weight`]: { bits: 4, codes: new Int8Array(3), scales: Float32Array.of(1) },
    },
  },
  'a bias of NaN': {
    constants: {
      [`${query}.bias`]: new Float32Array(shapeOf(`${query}.bias`)[1]).fill(Number.NaN),
    },
  },
  'a token that is none': { droppedTokens: Int32Array.of(100_000) },
  'a special token': { droppedTokens: Int32Array.of(model.tokenizer.vocabulary.indexOf('[SEP]')) },
  'a character that pieces need': {
    droppedTokens: Int32Array.of(model.tokenizer.vocabulary.indexOf('a')),
  },
};

/** Changes of the text of a recipe's JSON. */
const damaged: Readonly<Record<string, (json: string) => string>> = {
  'a recipe that is no JSON': () => '{',
  'a recipe of another kind': (json) => json.replace('"schema": 2', '"schema": 1'),
  'an unknown method': (json) => json.replace('"rows"', '"magic"'),
  'arrays of another recipe': (json) => json.replace(/"sha256": "\w+"/, '"sha256": "00"'),
  'arrays elsewhere': (json) => json.replace('recipe.safetensors', '../recipe.safetensors'),
  'arrays that are not there': (json) => json.replace('recipe.safetensors', 'gone.safetensors'),
  'codes of another width': (json) => json.replace(/"columns": \d+/, '"columns": 7'),
  'an array that nothing reads': (json) => json.replace(/"encoder\.[\w.]+bias"/, ''),
};

test('every message reads as in errors.txt (BLESS=1 rewrites it)', () => {
  const messages = Object.entries(bad).map(([title, change]) => [
    title,
    messageOf(() => applyRecipe(model, { ...empty, ...change })),
  ]);
  const path = join(folder, 'recipe.json');
  for (const [title, change] of Object.entries(damaged)) {
    writeRecipe(path, recipeOf('rows 4', null, 1));
    writeFileSync(path, change(readFileSync(path, 'utf8')));
    messages.push([title, messageOf(() => readRecipeFile(path)).replaceAll(folder, 'folder')]);
  }
  messages.push(['no recipe there', messageOf(() => readRecipeFile('nowhere.json'))]);
  const text = messages.map(([title, message]) => `# ${title}\n${message}\n`).join('\n');
  const file = packagePath('test/compress/errors.txt');
  if (process.env['BLESS'] === '1') writeFileSync(file, text);
  expect(text).toBe(readFileSync(file, 'utf8'));
});

function messageOf(act: () => unknown): string {
  try {
    act();
  } catch (error) {
    if (error instanceof Lm2mcuError && error.kind === 'user') return formatError(error.details);
    throw error;
  }
  return 'nothing is wrong';
}
