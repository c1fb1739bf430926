/** A Qwen 2 folder with random weights and the published one's kind of tokenizer, from folder to text. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { formatSafetensors } from '../../toolchain/compress/safetensors-writer.ts';
import { openExecutor } from '../../toolchain/emulate/executor.ts';
import { packagePath } from '../../toolchain/package-root.ts';
import { compile } from '../../toolchain/pipeline.ts';
import { loadTarget } from '../../toolchain/targets.ts';
import { type BpeJson, byteLevel, cl100k, sequence } from './bpe-samples.ts';
import { makeRandom } from './samples.ts';

const folder = mkdtempSync(join(tmpdir(), 'lm2mcu-qwen2-'));
afterAll(() => rmSync(folder, { recursive: true }));

const sizes = { width: 16, shared: 8, middle: 24, vocabulary: 300, layers: 2 };

function writeQwen2(): void {
  const { width, shared, middle, vocabulary, layers } = sizes;
  const gpt2 = packagePath('test', 'fixtures', 'decoders', 'gpt2', 'tokenizer.json');
  const tokenizer = JSON.parse(readFileSync(gpt2, 'utf8')) as BpeJson;
  const config = {
    ...{ model_type: 'qwen2', architectures: ['Qwen2ForCausalLM'], hidden_act: 'silu' },
    ...{ hidden_size: width, intermediate_size: middle, num_hidden_layers: layers },
    ...{ num_attention_heads: 4, num_key_value_heads: 2, max_position_embeddings: 64 },
    ...{ rms_norm_eps: 1e-6, rope_theta: 1_000_000, vocab_size: vocabulary, eos_token_id: 0 },
    ...{ tie_word_embeddings: true, use_sliding_window: false, sliding_window: 64 },
  };
  const shapes: Readonly<Record<string, readonly number[]>> = {
    'input_layernorm.weight': [width],
    'post_attention_layernorm.weight': [width],
    'self_attn.q_proj.weight': [width, width],
    'self_attn.q_proj.bias': [width],
    'self_attn.k_proj.weight': [shared, width],
    'self_attn.k_proj.bias': [shared],
    'self_attn.v_proj.weight': [shared, width],
    'self_attn.v_proj.bias': [shared],
    'self_attn.o_proj.weight': [width, width],
    'mlp.gate_proj.weight': [middle, width],
    'mlp.up_proj.weight': [middle, width],
    'mlp.down_proj.weight': [width, middle],
  };
  const random = makeRandom(3);
  const all = [
    ...[['embed_tokens.weight', [vocabulary, width]] as const, ['norm.weight', [width]] as const],
    ...Array.from({ length: layers }, (_, layer) =>
      Object.entries(shapes).map(([name, shape]) => [`layers.${layer}.${name}`, shape] as const),
    ).flat(),
  ];
  const tensors = all.map(([name, shape]) => {
    const count = shape.reduce((product, size) => product * size, 1);
    const data = Float32Array.from({ length: count }, () => random(2001) / 1000 - 1);
    return [`model.${name}`, { shape, data }] as const;
  });
  writeFileSync(join(folder, 'config.json'), JSON.stringify(config));
  writeFileSync(join(folder, 'model.safetensors'), formatSafetensors(Object.fromEntries(tensors)));
  writeFileSync(
    join(folder, 'tokenizer.json'),
    JSON.stringify({
      ...tokenizer,
      normalizer: { type: 'NFC' },
      pre_tokenizer: sequence(cl100k('\\p{N}'), byteLevel(false)),
      post_processor: byteLevel(false),
    }),
  );
}

test('it says the same on the host as by definition, however a prompt is written', async () => {
  writeQwen2();
  const compiled = compile({
    ...{ modelPath: folder, target: loadTarget('mps2-an386'), maxTokens: 32, calibration: null },
  });
  const [reference, host] = await Promise.all([
    openExecutor('interpreter', compiled),
    openExecutor('host', compiled),
  ]);
  const options = { mostTokens: 8, temperature: 0, topK: 0, topP: 1000, seed: 1 };
  for (const prompt of ['import re', 'café 1234', '한국어', 'Å ﬁ ½']) {
    const expected = await reference.generate({ text: prompt }, options);
    expect(await host.generate({ text: prompt }, options)).toEqual(expected);
    expect(await host.generate({ text: prompt.normalize('NFD') }, options)).toEqual(expected);
  }
  await Promise.all([reference.close(), host.close()]);
});
