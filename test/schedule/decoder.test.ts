/** A decoder's program, run in parts in any way, gives what its graph gives for the whole text. */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { interpret } from '../../toolchain/emulate/interpreter.ts';
import { programRuns } from '../../toolchain/emulate/program.ts';
import { fuseTable } from '../../toolchain/passes/fuse-table.ts';
import { withIntegerDtypes } from '../../toolchain/quantize/quantize.ts';
import { kernelsFor, loadKernels } from '../../toolchain/schedule/kernels.ts';
import { draft, schedule } from '../../toolchain/schedule/schedule.ts';
import { kernelScratch } from '../../toolchain/schedule/scratch.ts';
import { decoderShapes, floatDecoder, legalDecoder, randomIds } from './decoders.ts';

const kernels = loadKernels();
const numRuns = Number(process.env['LM2MCU_PROPERTY_RUNS'] ?? 15);

test('a prompt and then token by token, whatever the tile', () => {
  const property = fc.property(
    decoderShapes,
    fc.integer({ min: 1, max: 20 }),
    fc.array(fc.integer({ min: 1, max: 12 }), { minLength: 1, maxLength: 6 }),
    fc.boolean(),
    (shape, tileRows, parts, recomputeInputs) => {
      const graph = legalDecoder(shape);
      const { maxTokens } = shape;
      const scratchBytes = kernelScratch(kernelsFor([], kernels), maxTokens);
      const program = schedule(graph, { maxTokens, tileRows, recomputeInputs, scratchBytes });
      const run = programRuns(program, { poison: 0xa5 });
      const ids = randomIds(shape, maxTokens);
      let start = 0;
      for (const part of parts) {
        const end = Math.min(maxTokens, start + part);
        if (end === start) break;
        const tokens = { ids: ids.slice(0, end), segmentStart: end };
        const [found] = run(tokens, start);
        const [expected] = interpret(graph, tokens);
        expect([...found!.data]).toEqual([...expected!.data]);
        start = end;
      }
    },
  );
  fc.assert(property, { numRuns });
});

test('a plan has the arena that its program will have', () => {
  const property = fc.property(
    decoderShapes,
    fc.integer({ min: 1, max: 20 }),
    (shape, tileRows) => {
      const { maxTokens } = shape;
      const scratchBytes = kernelScratch(kernelsFor(['dsp'], kernels), maxTokens);
      const options = { maxTokens, tileRows, recomputeInputs: false, scratchBytes };
      const planned = draft(fuseTable(withIntegerDtypes(floatDecoder(shape))), options);
      expect(planned.place().arenaBytes).toBe(schedule(legalDecoder(shape), options).arenaBytes);
    },
  );
  fc.assert(property, { numRuns: 4 * numRuns });
});

test('a decoder keeps no rows but those of its cache', () => {
  const shape = { ...fc.sample(decoderShapes, { numRuns: 1, seed: 1 })[0]!, maxTokens: 40 };
  const graph = legalDecoder({ ...shape, family: 'llama', layers: 3, cache: { kind: 'full' } });
  const options = { maxTokens: 40, tileRows: 4, recomputeInputs: false };
  const { buffers, segments } = schedule(graph, {
    ...options,
    scratchBytes: kernelScratch(kernelsFor([], kernels), 40),
  });
  const kept = Object.values(buffers).filter(({ kind, rows }) => kind !== 'scratch' && rows > 4);
  expect(kept.map(({ kind }) => kind)).toEqual(['input', ...Array(6).fill('state')]);
  expect(kept.filter(({ turned }) => turned)).toHaveLength(3);
  expect(segments.map(({ rows }) => rows)).toEqual(['tokens', 1]);
});
