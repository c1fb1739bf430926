/**
 * Writes what a build leaves behind: graph.bin, the sources, the images, the report and, last, the
 * manifest with the hash of every one of them.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { emitLibrary } from '../emit/library.ts';
import { npuImage } from '../emit/npu-image.ts';
import { wasmVariants } from '../emit/wasm-model.ts';
import { assertExhaustive } from '../errors.ts';
import { dependencyVersion, packageVersion } from '../package-root.ts';
import type { Compiled, CompiledModule, EmitKind } from '../pipeline.ts';
import { buildReport } from '../report/build.ts';
import { buildModuleReport } from '../report/module.ts';
import { renderReport } from '../report/render.ts';
import type { Report } from '../report/schema.ts';
import type { Program } from '../schedule/program.ts';
import type { CmsisNn } from './cmsis-nn.ts';
import { buildFirmware, type Firmware } from './firmware.ts';
import { formatManifest, type Manifest, manifestFile, readManifest } from './manifest.ts';
import { digestOf, filesBelow } from './out-folder.ts';
import { linkModule } from './wasm-module.ts';

export interface ArtifactsRequest {
  readonly compiled: Compiled;
  /** An empty folder. */
  readonly folder: string;
  readonly emit: EmitKind;
  /** Where the model was compiled for it and for firmware. */
  readonly cmsisNn?: CmsisNn | undefined;
  readonly options: Manifest['options'];
  readonly inputs: Manifest['inputs'];
}

export interface Artifacts {
  readonly report: Report;
  /** Everything in the folder, by path with forward slashes. */
  readonly files: readonly string[];
  /** What the compiler complained about: nothing is expected. */
  readonly warnings: readonly string[];
}

export async function writeArtifacts(request: ArtifactsRequest): Promise<Artifacts> {
  const { compiled, folder, emit, cmsisNn, options, inputs } = request;
  writeFileSync(join(folder, 'graph.bin'), compiled.graphBin);
  for (const { name, payload } of npuPayloads(compiled.program)) {
    mkdirSync(join(folder, 'npu'), { recursive: true });
    writeFileSync(join(folder, 'npu', name), payload);
  }
  const firmware = await writeCode(request);
  const report = buildReport(compiled, firmware);
  const files = writeRecords(folder, report, {
    options: { ...options, emit },
    compiler: firmware === null ? null : compilerVersion(),
    inputs: cmsisNn === undefined ? inputs : { ...inputs, cmsisNn: cmsisNn.digest },
  });
  return { report, files, warnings: firmware?.warnings ?? [] };
}

/** What the NPU is told, for `lm2mcu inspect`; the sources hold the same. */
function npuPayloads(program: Program): readonly { name: string; payload: Uint8Array }[] {
  const image = npuImage(program);
  if (image === null) return [];
  return [
    ...image.jobs.map(({ payload }, job) => ({ name: `job-${job}.bin`, payload })),
    ...image.attentions.flatMap(({ jobs }, attention) =>
      jobs.map(({ payload }, job) => ({ name: `attention-${attention}-${job}.bin`, payload })),
    ),
  ];
}

export interface ModuleArtifactsRequest extends Pick<ArtifactsRequest, 'folder'> {
  readonly compiled: CompiledModule;
  readonly options: Manifest['options'];
  readonly inputs: Manifest['inputs'];
}

export async function writeModuleArtifacts(request: ModuleArtifactsRequest): Promise<Artifacts> {
  const { compiled, folder, options, inputs } = request;
  const write = (name: string, content: string | Uint8Array): void => {
    mkdirSync(dirname(join(folder, name)), { recursive: true });
    writeFileSync(join(folder, name), content);
  };
  write('graph.bin', compiled.graphBin);
  for (const variant of wasmVariants) {
    write(`sources/${variant}.ts`, compiled.module.code[variant]);
  }
  const linked = await linkModule(compiled.module);
  write('model.wasm', linked.wasm);
  write('model.mjs', linked.loader);
  write('model.d.ts', linked.types);
  const report = buildModuleReport(compiled, linked);
  const files = writeRecords(folder, report, { options, compiler: compilerOfModules(), inputs });
  return { report, files, warnings: [] };
}

const reportFiles = { 'report.json': 'json', 'report.html': 'html' } as const;

/**
 * Puts a report that says more in the place of a build's. The manifest comes last: a folder that this
 * was interrupted in counts as changed by hand.
 */
export function replaceReport(folder: string, report: Report): void {
  const manifest = readManifest(folder);
  const digests: Record<string, string> = {};
  for (const [name, format] of Object.entries(reportFiles)) {
    const text = renderReport(report, format);
    writeWhole(join(folder, name), text);
    digests[name] = digestOf(new TextEncoder().encode(text));
  }
  const outputs = { ...manifest.outputs, ...digests };
  writeWhole(join(folder, manifestFile), formatManifest({ ...manifest, outputs }));
}

/** The old file, or all of the new one. */
function writeWhole(path: string, text: string): void {
  const beside = `${path}.new`;
  writeFileSync(beside, text);
  renameSync(beside, path);
}

/** The report and, last, the manifest of all that is in the folder; its files. */
function writeRecords(
  folder: string,
  report: Report,
  manifest: Pick<Manifest, 'options' | 'compiler' | 'inputs'>,
): readonly string[] {
  for (const [name, format] of Object.entries(reportFiles)) {
    writeFileSync(join(folder, name), renderReport(report, format));
  }
  const files = filesBelow(folder);
  const whole: Manifest = {
    schema: 1,
    tool: { name: 'lm2mcu', version: packageVersion() },
    ...manifest,
    outputs: Object.fromEntries(
      files.map((name) => [name, digestOf(readFileSync(join(folder, name)))]),
    ),
  };
  writeFileSync(join(folder, manifestFile), formatManifest(whole));
  return [...files, manifestFile];
}

async function writeCode({
  compiled,
  folder,
  emit,
  cmsisNn,
}: ArtifactsRequest): Promise<Firmware | null> {
  switch (emit) {
    case 'firmware': {
      const { target, sources, placement } = compiled;
      const request = { target, sources, placement, optimisation: 'O2', cmsisNn } as const;
      return buildFirmware({ ...request, outDir: folder });
    }
    case 'library': {
      for (const { path, content } of emitLibrary(compiled)) {
        const file = join(folder, 'library', path);
        mkdirSync(dirname(file), { recursive: true });
        writeFileSync(file, content);
      }
      return null;
    }
    default:
      return assertExhaustive(emit);
  }
}

/** After a build that went well, so the compiler is there. */
function compilerVersion(): string {
  const version = execFileSync('arm-none-eabi-gcc', ['-dumpfullversion'], { encoding: 'utf8' });
  return `arm-none-eabi-gcc ${version.trim()}`;
}

/** By the version that this package asks for, for it is exact. */
function compilerOfModules(): string {
  return `assemblyscript ${dependencyVersion('assemblyscript')}`;
}
