/** The numbers of reports: what must add up, whatever the model, the board and the plan. */
import { describe, expect, test } from 'vitest';
import { rateIn } from '../../toolchain/cli/rate.ts';
import { packagePath, packageRoot } from '../../toolchain/package-root.ts';
import { compile } from '../../toolchain/pipeline.ts';
import { buildReport } from '../../toolchain/report/build.ts';
import { renderReport } from '../../toolchain/report/render.ts';
import { parseReport, type Report, type ReportBuffer } from '../../toolchain/report/schema.ts';
import { loadTarget } from '../../toolchain/targets.ts';
import { compiledFixture, linkedOf, storedDecoderReport } from './reports.ts';

const cases = [
  ['seqcls-gelu', 'nucleo-f446re', 40],
  ['seqcls-odd-f32', 'mps3-an547', 33],
  ['tokcls-relu', 'stm32f746g-disco', 48],
  ['embed-tanh-bf16', 'nrf52840-dk', 64],
  ['seqcls-gelu', 'mps2-an505', 2],
] as const;

describe.each(cases)('%s on %s, %i tokens', (fixture, target, maxTokens) => {
  const compiled = compiledFixture(fixture, target, maxTokens);
  const linked = linkedOf(compiled);
  const report = buildReport(compiled, linked);

  test('parts add up to what they are parts of', () => {
    const { flash, sram, regions, compute, layers } = report;
    const named = flash.codeBytes! + flash.tokenizerBytes + flash.embeddingBytes;
    expect(named + flash.encoderBytes + flash.otherBytes!).toBe(flash.usedBytes);
    expect(sram.arenaBytes + sram.staticBytes! + sram.stackBytes!).toBe(sram.peakBytes);
    const used = sumOf(regions.filter(isFlash), ({ usedBytes }) => usedBytes!);
    expect(used).toBe(flash.usedBytes);
    expect(sumOf(regions.filter(isFlash), ({ capacityBytes }) => capacityBytes)).toBe(
      flash.capacityBytes,
    );
    expect(sumOf(layers, ({ macs }) => macs)).toBe(compute.macs);
    expect(sumOf(layers, ({ weightBytes }) => weightBytes)).toBe(
      flash.encoderBytes + flash.embeddingBytes,
    );
    expect(sumOf(layers, ({ estimatedCycles }) => estimatedCycles)).toBe(compute.estimatedCycles);
    expect(compute.macs).toBeLessThanOrEqual(compute.macsUnoptimized);
  });

  test('every kernel has a cost, and waits only add cycles', () => {
    for (const layer of report.layers.filter(({ kernel }) => kernel !== null)) {
      expect(layer.estimatedInstructions, layer.name).toBeGreaterThan(0);
      expect(layer.estimatedCycles).toBeGreaterThanOrEqual(layer.estimatedInstructions);
      expect(layer.weightBytesRead === 0).toBe(layer.weightBytes === 0);
    }
  });

  test('the chosen plan stands in the front, where memory buys work', () => {
    const { plan, arena, compute } = report;
    expect(plan.arenaBytes).toBe(arena.sizeBytes);
    expect(plan.lowerBoundBytes).toBe(arena.lowerBoundBytes);
    expect(plan.gapPercent).toBeCloseTo((100 * arena.gapBytes) / arena.lowerBoundBytes, 9);
    const chosen = plan.front.filter(({ isChosen }) => isChosen);
    expect(chosen).toEqual([
      {
        plan: plan.chosen,
        text: plan.text,
        arenaBytes: plan.arenaBytes,
        instructions: plan.estimatedInstructions,
        isChosen: true,
      },
    ]);
    for (const [index, one] of plan.front.slice(1).entries()) {
      expect(one.arenaBytes).toBeGreaterThan(plan.front[index]!.arenaBytes);
      expect(one.instructions).toBeLessThan(plan.front[index]!.instructions);
    }
    // Planning does not know of activation tables, which cost little.
    expect(plan.estimatedInstructions / compute.estimatedInstructions).toBeCloseTo(1, 1);
    expect(new Set(plan.front.map(({ text }) => text)).size).toBe(plan.front.length);
  });

  test('buffers in use at once do not overlap, unless in place', () => {
    const { buffers, arena, calls } = report;
    for (const [index, a] of buffers.entries()) {
      expect(a.offset + a.sizeBytes).toBeLessThanOrEqual(arena.sizeBytes);
      expect(a.firstUse).toBeGreaterThanOrEqual(a.firstCall);
      expect(a.lastUse).toBeLessThanOrEqual(a.lastCall);
      expect(a.lastUse).toBeGreaterThanOrEqual(a.firstUse);
      expect(a.lastCall).toBeLessThan(calls.length);
      for (const b of buffers.slice(index + 1)) {
        if (meet(a, b)) expect(a.inPlaceOf === b.name || b.inPlaceOf === a.name).toBe(true);
      }
    }
  });

  test('what calls use is what they say, and never more than the arena', () => {
    const { buffers, arena, calls } = report;
    for (const [index, call] of calls.entries()) {
      for (const name of [...call.inputs, call.output]) {
        const { firstUse, lastUse } = buffers.find((buffer) => buffer.name === name)!;
        expect(firstUse).toBeLessThanOrEqual(index);
        expect(lastUse).toBeGreaterThanOrEqual(index);
      }
      expect(call.liveBytes).toBeLessThanOrEqual(arena.lowerBoundBytes);
    }
    expect(arena.sizeBytes - arena.lowerBoundBytes).toBeLessThanOrEqual(arena.gapBytes);
  });

  test('comes back from JSON, with sorted keys and no absolute path', () => {
    const json = renderReport(report, 'json');
    expect(parseReport(json)).toEqual(report);
    expect(renderReport(parseReport(json), 'json')).toBe(json);
    expect(renderReport(buildReport(compiled, linked), 'json')).toBe(json);
    expect(json).not.toContain(packageRoot);
    const keys = Object.keys(JSON.parse(json));
    expect(keys).toEqual(keys.toSorted());
  });

  test('without a linked image, what only linking knows is null', () => {
    const library = buildReport(compiled, null);
    expect(library.flash).toMatchObject({ usedBytes: null, codeBytes: null, otherBytes: null });
    expect(library.flash.embeddingBytes).toBe(report.flash.embeddingBytes);
    expect(library.sram).toMatchObject({ peakBytes: null, staticBytes: null, stackBytes: null });
    expect(library.regions.every(({ usedBytes }) => usedBytes === null)).toBe(true);
    expect(library.stack).toBeNull();
    expect(library.predicted).toEqual(report.predicted);
    expect(parseReport(renderReport(library, 'json'))).toEqual(library);
  });
});

describe('a token', () => {
  const compiled = compile({
    modelPath: packagePath('test', 'fixtures', 'decoders', 'gpt2'),
    target: loadTarget('mps2-an386'),
    maxTokens: 20,
    cache: { kind: 'window', window: 6, sinks: 2 },
    calibration: null,
  });
  const { token, buffers, layers } = buildReport(compiled, null);

  test('is the sum of its layers, and reads each weight once', () => {
    // Of a table it reads a row.
    const readsAll = ({ op }: { readonly op: string }): boolean =>
      op !== 'lookupRows' && op !== 'weightRows';
    const weights = sumOf(layers.filter(readsAll), ({ weightBytes }) => weightBytes);
    const read = token!.layers.filter(readsAll);
    expect(sumOf(read, ({ weightBytesRead }) => weightBytesRead)).toBe(weights);
    expect(sumOf(token!.reads, ({ bytes }) => bytes)).toBe(
      sumOf(token!.layers, ({ weightBytesRead }) => weightBytesRead),
    );
    expect(sumOf(token!.layers, ({ macs }) => macs)).toBe(token!.macs);
    expect(sumOf(token!.layers, ({ estimatedCycles }) => estimatedCycles)).toBe(
      token!.estimatedCycles,
    );
    for (const { macs, name } of token!.layers) {
      expect(macs, name).toBeLessThanOrEqual(layers.find((one) => one.name === name)!.macs);
    }
  });

  test('reads a cache of eight rows a layer, which is all that is kept', () => {
    const kept = buffers.filter(({ kind }) => kind === 'state');
    expect(token!.cacheBytes).toBe(sumOf(kept, ({ sizeBytes }) => sizeBytes));
    expect(token!.cacheBytesRead).toBe(sumOf(kept, ({ columns }) => 8 * columns));
    expect(token!.cache).toBe('window:6,sinks:2');
  });

  test('takes more cycles an instruction than a prompt, whose rows share what is read', () => {
    const stored = storedDecoderReport();
    const { cyclesPerInstruction, cyclesPerTokenInstruction } = rateIn(stored)!;
    const { estimatedCycles, estimatedInstructions } = stored.token!;
    expect(cyclesPerTokenInstruction).toBe(estimatedCycles / estimatedInstructions);
    expect(cyclesPerTokenInstruction).toBeGreaterThan(cyclesPerInstruction);
    const { token: _, ...classifier } = stored;
    expect(rateIn(classifier)!.cyclesPerTokenInstruction).toBe(cyclesPerInstruction);
  });

  test('reads weights in NOR where they lie there', () => {
    const placement = { ...compiled.placement, '.lm2mcu.encoder': 'nor' };
    const { reads } = buildReport({ ...compiled, placement }, null).token!;
    expect(reads.map(({ kind }) => kind)).toContain('nor');
    expect(sumOf(reads, ({ bytes }) => bytes)).toBe(sumOf(token!.reads, ({ bytes }) => bytes));
  });
});

function sumOf<T>(list: readonly T[], pick: (one: T) => number): number {
  return list.reduce((sum, one) => sum + pick(one), 0);
}

function isFlash({ kind }: Report['regions'][number]): boolean {
  return kind === 'flash' || kind === 'nor';
}

function meet(a: ReportBuffer, b: ReportBuffer): boolean {
  const inTime = a.firstUse <= b.lastUse && b.firstUse <= a.lastUse;
  const inSpace = a.offset < b.offset + b.sizeBytes && b.offset < a.offset + a.sizeBytes;
  return inTime && inSpace;
}

test.each([
  ['{', /^this is not a report of lm2mcu: /],
  ['{"version":1}', /^this is not a report of lm2mcu: [\s\S]*tool/],
  ['{"version":2}', /^this is not a report of lm2mcu: [\s\S]*version/],
])('%s is refused', (json, message) => {
  expect(() => parseReport(json)).toThrow(message);
});
