/** The numbers of a WebAssembly module as a report: constants, arena and text in one memory. */
import type { LinkedModule } from '../build/wasm-module.ts';
import { imageOrigin } from '../emit/wasm-image.ts';
import { pageBytes } from '../emit/wasm-model.ts';
import { packageVersion } from '../package-root.ts';
import type { CompiledModule } from '../pipeline.ts';
import { peakOf } from '../schedule/plan.ts';
import { buffersOf, callsOf, layersOf, modelOf, planOf, segmentsOf } from './build.ts';
import type { Report, ReportLayer } from './schema.ts';

export function buildModuleReport(
  compiled: CompiledModule,
  { sizes }: Pick<LinkedModule, 'sizes'>,
): Report {
  const { program, target, module } = compiled;
  const { arenaBytes } = program;
  const layers = layersOf(compiled, {
    target,
    constantsOf: ({ output }) => module.nodeSizes.get(output)!,
    cyclesOf: (instructions) => instructions,
  });
  const sum = (pick: (layer: ReportLayer) => number): number =>
    layers.reduce((total, layer) => total + pick(layer), 0);
  const { encoder, embedding, tokenizer, constraint } = module.constantSizes;
  const capacityBytes = target.mostPages * pageBytes;
  const memoryBytes = sizes.pages * pageBytes;
  const predictedBytes = imageOrigin + sizes.dataBytes + arenaBytes;
  const region = { name: 'memory', kind: 'linear', capacityBytes } as const;
  return {
    version: 1,
    tool: { name: 'lm2mcu', version: packageVersion() },
    model: modelOf(compiled),
    target: {
      ...{ name: target.name, title: target.title, chip: 'WebAssembly', core: target.core.name },
      ...{ npu: null, clockHz: 0, verified: { status: 'run', how: target.verified.how } },
    },
    maxTokens: program.maxTokens,
    plan: planOf(compiled),
    flash: {
      capacityBytes,
      usedBytes: sizes.moduleBytes,
      codeBytes: sizes.codeBytes,
      tokenizerBytes: tokenizer,
      embeddingBytes: embedding,
      encoderBytes: encoder,
      ...(constraint > 0 ? { constraintBytes: constraint } : {}),
      otherBytes: 0,
    },
    sram: {
      capacityBytes,
      peakBytes: memoryBytes - sizes.dataBytes,
      arenaBytes,
      staticBytes: memoryBytes - sizes.dataBytes - arenaBytes,
      stackBytes: 0,
      peakAt: peakOf(program),
    },
    predicted: {
      ...{ flashBytes: sizes.dataBytes, sramBytes: imageOrigin + arenaBytes },
      ...{ codeReserveBytes: 0, sramReserveBytes: 0 },
    },
    regions: [{ ...region, usedBytes: memoryBytes, predictedBytes }],
    module: {
      fileBytes: sizes.moduleBytes,
      codeBytes: sizes.codeBytes,
      relaxedCodeBytes: sizes.relaxedBytes,
      dataBytes: sizes.dataBytes,
      ...{ pages: sizes.pages, pageBytes },
    },
    arena: {
      region: region.name,
      sizeBytes: arenaBytes,
      lowerBoundBytes: program.lowerBoundBytes,
      gapBytes: Math.max(0, arenaBytes - program.lowerBoundBytes),
    },
    compute: {
      macs: sum(({ macs }) => macs),
      macsUnoptimized: compiled.macsUnoptimized,
      estimatedInstructions: sum(({ estimatedInstructions }) => estimatedInstructions),
      estimatedCycles: sum(({ estimatedCycles }) => estimatedCycles),
      estimatedFrom: `${target.core.cost.countedIn}; npm run bench wasm measures time`,
    },
    layers,
    segments: segmentsOf(program),
    calls: callsOf(program),
    buffers: buffersOf(program),
    stack: null,
    notes: [...compiled.notes],
  };
}
