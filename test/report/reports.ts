/** Reports to test with: of small models for real boards, and changed ones. */
import { readFileSync } from 'node:fs';
import { measureImage } from '../../toolchain/build/elf.ts';
import { packagePath } from '../../toolchain/package-root.ts';
import { type Compiled, compile } from '../../toolchain/pipeline.ts';
import { buildReport, type Linked } from '../../toolchain/report/build.ts';
import { parseReport, type Report } from '../../toolchain/report/schema.ts';
import { loadTarget } from '../../toolchain/targets.ts';
import { fixturePath } from '../ir/graphs.ts';

export function compiledFixture(fixture: string, target: string, maxTokens: number): Compiled {
  return compile({
    modelPath: fixturePath(fixture),
    target: loadTarget(target),
    maxTokens,
    calibration: null,
    ...(fixture.startsWith('embed') ? { pooling: 'mean' } : {}),
  });
}

/** What linking might have measured: sections of these sizes, one after the other. */
export function linkedOf({ target, constantSizes, placement, program }: Compiled): Linked {
  const next = new Map(target.regions.map(({ name, origin }) => [name, origin]));
  const section = (name: string, region: string, sizeBytes: number, executable = false) => {
    const address = next.get(region)!;
    next.set(region, address + sizeBytes);
    const flags = { allocated: true, writable: false, initialised: true };
    return { name, address, sizeBytes, executable, ...flags };
  };
  const sections = [
    section('.vectors', target.codeRegion, 0x200, true),
    section('.text', target.codeRegion, 12_000, true),
    section('.rodata', target.codeRegion, 1_500),
    ...Object.entries({ ...constantSizes, arena: program.arenaBytes }).map(([part, bytes]) =>
      section(`.lm2mcu.${part}`, placement[`.lm2mcu.${part}`]!, bytes),
    ),
    section('.bss', target.dataRegion, 8),
    section('.stack', target.dataRegion, 960),
  ];
  return {
    image: measureImage({ entry: 0, sections, segments: [], symbols: [] }, target.regions),
    stack: {
      bytes: 944,
      path: [
        { name: 'Reset_Handler', bytes: 8 },
        { name: 'main', bytes: 96 },
      ],
    },
  };
}

export function fixtureReport(fixture: string, target: string, maxTokens: number): Report {
  const compiled = compiledFixture(fixture, target, maxTokens);
  return buildReport(compiled, linkedOf(compiled));
}

/** A report as it was written once, so that goldens change only with the renderers. */
export function storedReport(): Report {
  const path = packagePath('test', 'report', 'golden', 'report.json');
  return parseReport(readFileSync(path, 'utf8'));
}

/** The same of a model that generates. */
export function storedDecoderReport(): Report {
  return parseReport(readFileSync(packagePath('test', 'report', 'golden', 'decoder.json'), 'utf8'));
}

/** What a model from a stranger might be called. */
export const hostile = '</script><img src=x onerror="document.title=`owned`">|`*_\u202e\u001b[31m';

/** `hostile` wherever a text of the model stands. */
export function hostileReport(): Report {
  const report = storedReport();
  const text = (name: string): string => `${hostile} ${name}`;
  return {
    ...report,
    model: { ...report.model, name: hostile, labels: [hostile, 'plain'] },
    plan: {
      ...report.plan,
      text: text(report.plan.text),
      front: report.plan.front.map((one) => ({ ...one, text: text(one.text) })),
    },
    sram: { ...report.sram, peakAt: text(report.sram.peakAt) },
    layers: report.layers.map((layer) => ({ ...layer, name: text(layer.name) })),
    segments: report.segments.map((segment) => ({ ...segment, name: text(segment.name) })),
    calls: report.calls.map((call) => ({ ...call, name: text(call.name) })),
    buffers: report.buffers.map((buffer) => ({
      ...buffer,
      name: text(buffer.name),
      inPlaceOf: buffer.inPlaceOf === null ? null : text(buffer.inPlaceOf),
    })),
    notes: [hostile],
  };
}

/** The same with a region that is too small. */
export function overfullReport(): Report {
  const report = storedReport();
  return {
    ...report,
    regions: report.regions.map((region) =>
      region.kind === 'sram' ? { ...region, capacityBytes: region.usedBytes! - 1234 } : region,
    ),
  };
}
