/**
 * Constrained texts are the same on every machine, token by token, with tokens listed or not, classes of
 * one byte or two; and what is written is permitted.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { buildFirmware } from '../../toolchain/build/firmware.ts';
import type { ConstraintSource } from '../../toolchain/constrain/constraint.ts';
import {
  type Executor,
  type GenerateOptions,
  openExecutor,
} from '../../toolchain/emulate/executor.ts';
import { parseStoredModel } from '../../toolchain/emulate/stored-model.ts';
import { textOf } from '../../toolchain/generate/text.ts';
import { serializeGraph } from '../../toolchain/ir/serialize.ts';
import { packagePath } from '../../toolchain/package-root.ts';
import { compile } from '../../toolchain/pipeline.ts';
import { loadTarget } from '../../toolchain/targets.ts';
import { hasEmulator, temporaryFolder } from '../firmware/fake-firmware.ts';

const target = loadTarget('mps2-an386');
const schema = {
  type: 'object',
  properties: { on: { type: 'boolean' }, name: { type: 'string', maxLength: 3 } },
  required: ['on'],
};

interface Case {
  readonly source: ConstraintSource;
  readonly isPermitted: RegExp;
  /** The constraint's classes in two bytes, which only large ones have. */
  readonly isWide?: boolean;
  /** Beside the program and the C of this host. */
  readonly on: 'emulator' | 'wasm';
}

const cases: Readonly<Record<string, Case>> = {
  commands: {
    on: 'wasm',
    source: { kind: 'commands', text: 'turn on\nturn off\nopen\n' },
    isPermitted: /^(turn on|turn off|open)$/,
  },
  'a pattern without an end': {
    on: 'wasm',
    source: { kind: 'pattern', text: '[a-f]+(?:=.)?' },
    isPermitted: /^[a-f]+(=.)?$/u,
    isWide: true,
  },
  'a schema': {
    source: { kind: 'json-schema', text: JSON.stringify(schema) },
    on: 'emulator',
    isPermitted: /^\{"on":(true|false)(,"name":"[^"]*(\\"[^"]*)*")?\}$/u,
  },
};

const samplings: readonly GenerateOptions[] = [0, 900, 2500].map((temperature, seed) => ({
  ...{ mostTokens: 20, temperature, topK: seed * 5, topP: 1000 - seed * 40, seed },
}));

describe.each(Object.entries(cases))('%s', (_, { source, isPermitted, ...own }) => {
  const folder = temporaryFolder('constrained');
  const machines: Executor[] = [];
  let reference: Executor;

  beforeAll(async () => {
    const compiled = compile({
      modelPath: packagePath('test', 'fixtures', 'decoders', 'gpt2'),
      ...{ target, maxTokens: 24, calibration: null, constraint: source },
    });
    const { graph, constraint, ...model } = parseStoredModel(compiled.graphBin);
    const { classes, edgeClasses } = constraint!;
    const wide = { classes: Uint16Array.from(classes), edgeClasses: Uint16Array.from(edgeClasses) };
    const stored = { ...constraint, ...(own.isWide === true ? wide : {}) };
    const graphBin = serializeGraph(graph, { ...model, constraint: stored });
    reference = await openExecutor('interpreter', { graphBin });
    machines.push(await openExecutor('program', { graphBin }));
    machines.push(await openExecutor('host', { graphBin }, { sanitize: true }));
    if (own.on === 'wasm') machines.push(await openExecutor('wasm', { graphBin }));
    if (own.on === 'wasm' || !hasEmulator) return;
    const { sources, placement } = compiled;
    const firmware = await buildFirmware({
      ...{ target, sources, placement, optimisation: 'O2', outDir: folder },
    });
    expect(firmware.warnings).toEqual([]);
    const { emulatorElfPath } = firmware;
    machines.push(await openExecutor('emulator', { graphBin, emulatorElfPath }));
  }, 120_000);
  afterAll(() => Promise.all([reference, ...machines].map((machine) => machine.close())));

  test.each(samplings)('%j', async (options) => {
    for (const text of ['import', 'x']) {
      const { instructions: _work, ...expected } = await reference.generate({ text }, options);
      const { idOrder, tokenizer } = reference.model;
      const said = textOf(
        tokenizer,
        expected.generated.map((id) => idOrder[id]!),
      );
      expect(expected.complete).toBe(true);
      expect(said).toMatch(isPermitted);
      for (const machine of machines) {
        const { instructions: _counted, ...found } = await machine.generate({ text }, options);
        expect(found, machine.on).toEqual(expected);
      }
    }
  });

  test('in the tokens that are left, or on the shortest way', async () => {
    for (const mostTokens of [1, 2, 4, 7]) {
      const options = { mostTokens, temperature: 1500, topK: 0, topP: 1000, seed: mostTokens };
      const { instructions: _work, ...expected } = await reference.generate({ text: 'x' }, options);
      const least = reference.model.constraint!.distances[0]!;
      expect(expected.complete, `${mostTokens} of ${least}`).toBe(mostTokens >= least);
      for (const machine of machines) {
        const { instructions: _counted, ...found } = await machine.generate({ text: 'x' }, options);
        expect(found, machine.on).toEqual(expected);
      }
    }
  });
});
