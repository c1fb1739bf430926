/** What int8 costs on the trained example, by layer kind and in all, on short and on long texts. */
import { existsSync, readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { interpret, type Tokens } from '../../toolchain/emulate/interpreter.ts';
import { compactEncoder, type Example } from '../../toolchain/emulate/stored-model.ts';
import { packagePath } from '../../toolchain/package-root.ts';
import { compile } from '../../toolchain/pipeline.ts';
import { allKinds, priceByKind } from '../../toolchain/quantize/price.ts';
import { loadTarget } from '../../toolchain/targets.ts';
import { compileTokenizer } from '../../toolchain/tokenizer/compile.ts';

const example = packagePath('examples', 'debian-sections');
const hasExample = existsSync(`${example}/model/model.safetensors`);

function texts(file: string, count: number): readonly Example[] {
  const lines = readFileSync(`${example}/${file}`, 'utf8').trim().split('\n').slice(0, count);
  return lines.map((line) => JSON.parse(line) as Example);
}

function compiled(maxTokens: number, calibration: readonly Example[]) {
  const result = compile({
    modelPath: `${example}/model`,
    target: loadTarget('mps2-an386'),
    maxTokens,
    calibration,
  });
  const { tokenizer } = result.imported;
  const encode = compactEncoder(
    { tokenizer, idOrder: compileTokenizer(tokenizer).idOrder },
    maxTokens,
  );
  return { ...result, encode };
}

type CompiledExample = ReturnType<typeof compiled>;

/** Share of texts given the right label: by the float graph, by integers; and of equal labels. */
function accuracy(example: CompiledExample, file: string, count: number) {
  const { floatGraph, program, imported, encode } = example;
  const hits = { float: 0, integer: 0, agreement: 0 };
  const examples = texts(file, count);
  for (const one of examples) {
    const tokens: Tokens = encode(one);
    const float = indexOfLargest(interpret(floatGraph, tokens)[0]!.data);
    const integer = indexOfLargest(interpret(program.graph, tokens)[0]!.data);
    const label = imported.card.labels!.indexOf(one.label!);
    hits.float += float === label ? 1 : 0;
    hits.integer += integer === label ? 1 : 0;
    hits.agreement += float === integer ? 1 : 0;
  }
  return {
    float: hits.float / examples.length,
    integer: hits.integer / examples.length,
    agreement: hits.agreement / examples.length,
  };
}

/** The example for 128 tokens, made once. */
let cached: CompiledExample | undefined;
function short(): CompiledExample {
  cached ??= compiled(128, texts('calibration.jsonl', 80));
  return cached;
}

function indexOfLargest(values: ArrayLike<number>): number {
  return Array.from(values).reduce(
    (best, value, index, all) => (value > all[best]! ? index : best),
    0,
  );
}

test.skipIf(!hasExample)('int8 loses at most half a point on texts of up to 128 tokens', () => {
  const { float, integer, agreement } = accuracy(short(), 'test.jsonl', 200);
  expect(float).toBeGreaterThan(0.83);
  expect(integer).toBeGreaterThanOrEqual(float - 0.005);
  expect(agreement).toBeGreaterThanOrEqual(0.985);
});

test.skipIf(!hasExample)('int8 loses at most half a point on texts of 512 tokens', () => {
  const calibration = [...texts('calibration.jsonl', 30), ...texts('calibration-512.jsonl', 10)];
  const { float, integer } = accuracy(compiled(512, calibration), 'test-512.jsonl', 30);
  expect(integer).toBeGreaterThanOrEqual(float - 0.005);
});

test.skipIf(!hasExample)('no layer kind costs more than all together, and none is free', () => {
  const { floatGraph, program, encode } = short();
  const prices = priceByKind(floatGraph, program.graph, texts('test.jsonl', 20).map(encode));
  const all = prices.find(({ kind }) => kind === allKinds)!;
  expect(prices.length).toBeGreaterThan(5);
  expect(all.nodes).toBe(
    prices.reduce((sum, { kind, nodes }) => sum + (kind === allKinds ? 0 : nodes), 0),
  );
  for (const { kind, logitRmse } of prices) {
    expect(logitRmse, kind).toBeGreaterThan(0);
    if (kind !== allKinds) expect(logitRmse, kind).toBeLessThan(all.logitRmse);
  }
  // The integers it mixes in are the ones that run: with all kinds, the graph's own result.
  const tokens = encode(texts('test.jsonl', 1)[0]!);
  const output = program.graph.tensors[program.graph.outputs[0]!]!;
  const scale = output.quant?.kind === 'affine' ? output.quant.scale : Number.NaN;
  const own = Array.from(interpret(program.graph, tokens)[0]!.data, (value) => value * scale);
  const float = interpret(floatGraph, tokens)[0]!.data;
  const rmse = Math.sqrt(
    own.reduce((sum, value, index) => sum + (value - float[index]!) ** 2, 0) / own.length,
  );
  const single = priceByKind(floatGraph, program.graph, [tokens]).find(
    ({ kind }) => kind === allKinds,
  )!;
  expect(single.logitRmse).toBeCloseTo(rmse, 5);
});
