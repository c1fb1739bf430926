/** A graph that is understood in part: what `inspect` says of each of its layers. */
import { expect, test } from 'vitest';
import { layerLines, layerSummary } from '../../toolchain/cli/layer-survey.ts';
import { Lm2mcuError } from '../../toolchain/errors.ts';
import { primitiveBuilder } from '../../toolchain/importers/primitive/build.ts';
import { arrayFor, knownValue } from '../../toolchain/importers/primitive/value.ts';
import { outputOf } from '../../toolchain/importers/recognize/output.ts';
import { recognize } from '../../toolchain/importers/recognize/recognize.ts';

test('layers before a gate are mapped, the gate is not, those behind it wait', () => {
  const builder = primitiveBuilder();
  const matrix = (...shape: readonly number[]): string => {
    const elements = Array.from({ length: shape.reduce((a, b) => a * b) }, (_, i) => (i % 7) / 4);
    return builder.constant(knownValue('float', shape, arrayFor('float', elements)));
  };
  const linear = (name: string, x: string): string => {
    builder.enter(name, 'MatMul');
    return builder.add('matmul', {}, [x, matrix(4, 4)]);
  };
  builder.enter('word', 'Gather');
  const x = builder.add('gather', { axis: 0 }, [matrix(6, 4), 'input_ids']);
  const [wide, gate] = [linear('/ffn/wide/MatMul', x), linear('/ffn/gate/MatMul', x)];
  builder.enter('/ffn/Mul', 'Mul');
  const gated = builder.add('binary', { function: 'multiply' }, [wide, gate]);
  linear('/ffn/narrow/MatMul', gated);
  const output = linear('/classifier/MatMul', gated);
  const graph = builder.finish({
    format: 'test',
    inputs: [{ name: 'input_ids', type: 'int', shape: [1, null] }],
    outputs: [output],
  });
  const recognized = recognize(graph, { tokens: 5, roles: new Map([['input_ids', 'token']]) });
  let error: unknown;
  try {
    outputOf(graph, recognized, 'model', 5);
  } catch (thrown) {
    error = thrown;
  }
  expect(error).toBeInstanceOf(Lm2mcuError);
  const layers = (error as Lm2mcuError).details.layers!;
  expect(layers).toEqual([
    { name: 'word', outcome: 'mapped', becomes: ['embed'] },
    { name: 'ffn.wide', outcome: 'mapped', becomes: ['linear'] },
    { name: 'ffn.gate', outcome: 'mapped', becomes: ['linear'] },
    { name: 'ffn', outcome: 'unsupported', problem: expect.stringContaining('multiply(') },
    { name: 'ffn.narrow', outcome: 'behind-unsupported' },
    { name: 'classifier', outcome: 'behind-unsupported' },
  ]);
  expect([layerSummary(layers), ...layerLines(layers)].join('\n')).toMatchInlineSnapshot(`
    "of 6 layers that compute: 1 embed, 2 linear, 1 unsupported, 2 behind-unsupported (--layers names them)
    word        becomes embed
    ffn.wide    becomes linear
    ffn.gate    becomes linear
    ffn         computes multiply(an activation, an activation) of shapes [1, 5, 4] [1, 5, 4], for which we have no op
    ffn.narrow  reads what is not supported
    classifier  reads what is not supported"
  `);
});
