import { execFileSync, spawnSync } from 'node:child_process';
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { emitModel } from '../../toolchain/emit/c-model.ts';
import { chooseNames } from '../../toolchain/emit/c-names.ts';
import { commentText, identifier, stringLiteral } from '../../toolchain/emit/c-text.ts';
import { interpret } from '../../toolchain/emulate/interpreter.ts';
import { importModel } from '../../toolchain/importers/index.ts';
import type { Graph } from '../../toolchain/ir/graph.ts';
import { packagePath } from '../../toolchain/package-root.ts';
import { kernelsFor, loadKernels } from '../../toolchain/schedule/kernels.ts';
import { schedule } from '../../toolchain/schedule/schedule.ts';
import { kernelScratch } from '../../toolchain/schedule/scratch.ts';
import { compileTokenizer } from '../../toolchain/tokenizer/compile.ts';
import { fixturePath } from '../ir/graphs.ts';
import { storedAs } from '../ir/stored-weights.ts';
import { type EncoderShape, legalEncoder, type PlanShape } from '../schedule/encoders.ts';

const kernels = loadKernels();
const { card, tokenizer } = importModel(fixturePath('seqcls-gelu'));
const compiledTokenizer = compileTokenizer(tokenizer);

const shape: EncoderShape = {
  layers: 2,
  heads: 2,
  headWidth: 5,
  ffn: 13,
  activation: 'gelu',
  head: 'pooled',
  outputs: 3,
  vocabulary: compiledTokenizer.idOrder.length,
  wordTable: null,
  positionTable: null,
  maxTokens: 12,
  seed: 3,
  storages: [storedAs.float32],
};
const plan: PlanShape = {
  tileRows: 4,
  absorbed: [0, 0, 0],
  grouping: [1, 1, 1],
  features: [],
  absorbs: false,
  kernels: 'native',
  recomputeInputs: false,
};

/** More than the verifier lets pass: the emitter relies on none of it. */
const hostileNames = [
  'a.b',
  'a_b',
  'a__b',
  'a#0',
  'a.group.0',
  'a.score',
  'a',
  'row',
  'rows',
  'tokens',
  'state',
  'int',
  'for',
  'arena',
  'lm_min',
  'model_state',
  'int8_t',
  'AT',
  'NULL',
  '*/ #error "out" /*',
  '/* in',
  '0',
  '',
  '_',
  'line\nbreak',
  'back\\',
  '"quoted"',
  '??/',
  'naïve 深度 \u202e',
  'x'.repeat(90),
  ...Array.from({ length: 40 }, (_, index) => `é${'.'.repeat(index)}`),
];

/** The same graph with other names; nodes share theirs with their neighbours. */
function renamed(graph: Graph<'legal'>): Graph<'legal'> {
  const names = new Map(
    Object.keys(graph.tensors).map((name, i) => [name, hostileNames[i] ?? `${i}`]),
  );
  const nameOf = (name: string): string => names.get(name)!;
  return {
    ...graph,
    inputs: graph.inputs.map(nameOf),
    outputs: graph.outputs.map(nameOf),
    tensors: Object.fromEntries(
      Object.values(graph.tensors).map((one) => [
        nameOf(one.name),
        { ...one, name: nameOf(one.name) },
      ]),
    ),
    nodes: graph.nodes.map((node, i) => ({
      ...node,
      name: hostileNames[i - (i % 2)]!,
      inputs: node.inputs.map(nameOf),
      output: nameOf(node.output),
    })),
  };
}

const graph = renamed(legalEncoder(shape, plan));
const program = schedule(graph, {
  maxTokens: shape.maxTokens,
  tileRows: plan.tileRows,
  recomputeInputs: false,
  scratchBytes: kernelScratch(kernelsFor([], kernels), shape.maxTokens),
});
const labels = ['*/ "', 'naïve\\', '??/\n'];
const { sources } = emitModel({
  program,
  card: { ...card, name: 'evil */ "\n\\', labels },
  tokenizer: compiledTokenizer,
  targetName: 'mps2-an386',
  features: [],
  kernels,
  sha256: '0'.repeat(64),
});

const folder = mkdtempSync(join(tmpdir(), 'lm2mcu-emit-'));
beforeAll(() => {
  for (const { path, content } of sources) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), content);
  }
  copyFileSync(packagePath('firmware-templates', 'lm2mcu.h'), join(folder, 'lm2mcu.h'));
  copyFileSync(packagePath('test', 'emit', 'api.c'), join(folder, 'api.c'));
});
afterAll(() => rmSync(folder, { recursive: true }));

const flags = '-std=c99 -Wall -Wextra -Wconversion -Wpedantic -Wshadow -Wcomment -Werror'.split(
  ' ',
);
const sanitizers = ['-g', '-fsanitize=address,undefined', '-fno-sanitize-recover=all'];
const files = [...sources.map(({ path }) => path).filter((path) => path.endsWith('.c')), 'api.c'];

describe('whatever layers, model and labels are called', () => {
  test.each(['gcc', 'clang-19'])('%s finds nothing to complain about', (compiler) => {
    if (spawnSync(compiler, ['--version']).error !== undefined) {
      console.warn(`SKIPPED: ${compiler} is not installed`);
      return;
    }
    const output = ['-o', `api-${compiler}`];
    const args = [...flags, ...(compiler === 'gcc' ? sanitizers : []), '-I.', ...files, ...output];
    const { status, stderr } = spawnSync(compiler, args, { cwd: folder, encoding: 'utf8' });
    expect([status, stderr]).toEqual([0, '']);
  });

  test('every call gives what lm2mcu.h says', () => {
    const output = execFileSync(join(folder, 'api-gcc'), { encoding: 'utf8' });
    const expected = interpret(graph, { ids: [1, 0, 2], segmentStart: 2 })[0]!.data;
    const hexOf = (text: string): string => Buffer.from(text).toString('hex');
    const { ok, tooLong, badToken, arena } = { ok: 0, tooLong: 1, badToken: 2, arena: 3 };
    expect(output.trim().split('\n')).toEqual([
      hexOf('evil */ "\n\\'),
      ...labels.map(hexOf),
      `run before tokens ${arena}`,
      `run before tokens ${arena}`,
      `run before tokens ${arena}`,
      `unaligned ${arena} ${arena} ${arena}`,
      `set no tokens ${badToken}`,
      `set too many ${tooLong}`,
      `set unknown ${badToken}`,
      `set wrong segment ${badToken} ${badToken}`,
      `run after errors ${arena}`,
      `set ${ok}`,
      `run ${ok}`,
      `values ${expected.join(' ')}`,
      `run again ${arena}`,
      `tokenize ${ok} 1`,
      `run ${ok}`,
      'best 1',
    ]);
  });
});

test('no two names are the same, and none is a word of C', () => {
  const { constants, buffers } = chooseNames(program);
  expect(new Set(constants.values()).size).toBe(constants.size);
  expect(new Set(buffers.values()).size).toBe(buffers.size);
  for (const name of [...constants.values(), ...buffers.values()]) {
    expect(name).toMatch(/^[A-Za-z][A-Za-z0-9_]*$/);
  }
});

test('the same program gives the same text', () => {
  expect(chooseNames(program)).toEqual(chooseNames(program));
});

test('names, comments and strings hold any text', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary' }), (text) => {
      expect(identifier(text)).toMatch(/^[A-Za-z][A-Za-z0-9_]*$/);
      expect(commentText(text)).toMatch(/^[ -~]*$/);
      expect(`/* ${commentText(text)} */`.slice(2, -2)).not.toMatch(/\*\/|\/\*/);
      expect(stringLiteral(text)).toMatch(/^"([ !#-[\]-~]|\\[0-3][0-7]{2})*"$/);
      expect(stringLiteral(text)).not.toContain('??');
    }),
  );
});

test('names are as people would write them', () => {
  expect(identifier('encoder.layer.0.attention.self#1')).toBe(
    'encoder_layer_0_attention_self_group_1',
  );
  expect(identifier('0.query')).toBe('layer_0_query');
});
