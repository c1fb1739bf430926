import { expect, test } from 'vitest';
import { packagePath } from '../../toolchain/package-root.ts';
import { compile } from '../../toolchain/pipeline.ts';
import { loadTarget } from '../../toolchain/targets.ts';

test('layers that share their weights store them once', () => {
  const { sources, program } = compile({
    modelPath: packagePath('test/fixtures/exports/albert'),
    target: loadTarget('mps2-an386'),
    maxTokens: 16,
    calibration: null,
  });
  const text = sources.map(({ content }) => content).join('\n');
  for (const layer of ['attention_output_dense', 'intermediate_dense', 'output_dense']) {
    expect(text).toContain(
      `#define encoder_layer_1_${layer}_weights encoder_layer_0_${layer}_weights`,
    );
  }
  const weights = Object.values(program.graph.tensors).filter(({ name }) =>
    /ffn\.weight$/.test(name),
  );
  expect(weights).toHaveLength(1);
});
