/** Flash that is left over is spent on speed where that is wanted, and nowhere else. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type CompileRequest, compile } from '../../toolchain/pipeline.ts';
import { codeReserveBytes } from '../../toolchain/schedule/placement.ts';
import { isSpare, withSpareFlash } from '../../toolchain/schedule/spare-flash.ts';
import { loadTarget, type Target, withKernels } from '../../toolchain/targets.ts';
import { writeRandomDecoder } from '../bench/decoder-models.ts';
import { temporaryFolder } from '../cli/lm2mcu.ts';

const folder = temporaryFolder();
beforeAll(() => {
  const size = { width: 32, layers: 1, heads: 4, keyValueHeads: 2, hidden: 64, vocabulary: 40 };
  writeRandomDecoder(folder.path, size, 16);
});
afterAll(folder.remove);

const nucleo = loadTarget('nucleo-f746zg');

/** The board with other internal flash. */
function withFlash(change: Partial<Target['regions'][number]>): Target {
  const regions = nucleo.regions.map((region) =>
    region.name === nucleo.codeRegion ? { ...region, ...change } : region,
  );
  return { ...nucleo, regions };
}

function compiled(request: Partial<CompileRequest>) {
  const calibration = [{ text: 'w1 w2 w3' }];
  return compile({
    modelPath: folder.path,
    target: nucleo,
    maxTokens: 16,
    calibration,
    ...request,
  });
}

function linearsOf({ sources, notes, program, kernelOf }: ReturnType<typeof compile>) {
  const linears = program.graph.nodes.filter(({ op }) => op === 'linear');
  return {
    packings: [...new Set(linears.map((node) => kernelOf(program.graph, node).weights))],
    hasFile: sources.some(({ path }) => path === 'kernels/dsp/linear_triples.c'),
    notes: notes.filter((note) => note.includes('spent on speed')),
  };
}

test('a model that generates takes flash that is left over, says how much, and else does not', () => {
  const most = compiled({});
  const least = compiled({ target: withFlash({ sizeBytes: 2 * codeReserveBytes }) });
  expect(linearsOf(least)).toEqual({ packings: ['pairs'], hasFile: false, notes: [] });
  const bytes = most.constantSizes.encoder - least.constantSizes.encoder;
  expect(linearsOf(most)).toEqual({
    packings: ['triples'],
    hasFile: true,
    notes: [expect.stringContaining(`${bytes.toLocaleString('en-US')} B of flash`)],
  });
  const { program } = most;
  expect(withSpareFlash(nucleo, program, 'fastest')).not.toBeNull();
  expect(withSpareFlash(nucleo, program, 'smallest')).toBeNull();
  expect(withSpareFlash(withKernels(nucleo, 'cmsis-nn'), program, 'fits')).toBeNull();
  expect(withSpareFlash(loadTarget('mps3-an547'), program, 'fits')).toBeNull();
  const withoutCache = Object.entries(program.buffers).filter(([, { kind }]) => kind !== 'state');
  const encoder = { ...program, buffers: Object.fromEntries(withoutCache) };
  expect(withSpareFlash(nucleo, encoder, 'fits')).toBeNull();
});

test('all of the model lies in quick internal flash, and as much as the code stays free', () => {
  const sizes = { encoder: 40_000, tokenizer: 20_000, constraint: 0, embedding: 10_000 };
  const sizeBytes = 70_000 + 2 * codeReserveBytes;
  expect(isSpare(withFlash({ sizeBytes }), sizes)).toBe(true);
  expect(isSpare(withFlash({ sizeBytes: sizeBytes - 1 }), sizes)).toBe(false);
  expect(isSpare(withFlash({ sizeBytes, codeOnly: true }), sizes)).toBe(false);
  expect(isSpare(withFlash({ sizeBytes, readCyclesPerWord: 4 }), sizes)).toBe(false);
});
