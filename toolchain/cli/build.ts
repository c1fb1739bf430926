/** `lm2mcu build`: a model to firmware, or to a C library, in a folder. */
import { basename, resolve } from 'node:path';
import {
  type Artifacts,
  type ModuleArtifactsRequest,
  writeArtifacts,
  writeModuleArtifacts,
} from '../build/artifacts.ts';
import { type CmsisNn, openCmsisNn } from '../build/cmsis-nn.ts';
import { checkCompiler } from '../build/gcc.ts';
import type { Manifest } from '../build/manifest.ts';
import { checkOutFolder, digestOf, openOutFolder } from '../build/out-folder.ts';
import { readRecipeFile } from '../compress/recipe-file.ts';
import { Lm2mcuError, userError } from '../errors.ts';
import { endLeftovers } from '../leftovers.ts';
import { cacheForms, cacheText } from '../passes/cache-policy.ts';
import { usualMaxTokensText } from '../passes/max-tokens.ts';
import {
  type CompiledProgram,
  type CompileRequest,
  compile,
  compileModule,
  type EmitKind,
  emitKinds,
  type ProgramRequest,
  weightKinds,
} from '../pipeline.ts';
import { renderReport } from '../report/render.ts';
import { planGoals } from '../schedule/plan.ts';
import {
  type AnyTarget,
  type EngineTarget,
  isEngine,
  type KernelSet,
  kernelSets,
  listEngines,
  listTargets,
  loadEngine,
  loadTarget,
  type Target,
} from '../targets.ts';
import { parseCache } from './cache.ts';
import { defineCommand } from './command.ts';
import { constraintOptions, readConstraint } from './constraint.ts';
import { readExamples } from './examples.ts';
import { didYouMean } from './suggest.ts';

export const buildCommand = defineCommand({
  usage: 'build <model>',
  summary: 'Compile a model into firmware for a board, or a WebAssembly module',
  positionals: {
    model: {
      type: 'string',
      demandOption: true,
      describe: 'A Hugging Face folder, an ONNX or TFLite file, or a tfjs folder',
    },
  },
  options: {
    target: {
      type: 'string',
      demandOption: true,
      requiresArg: true,
      describe: 'A board (lm2mcu targets), the path of a board file ending in .json, or wasm',
    },
    'max-tokens': {
      type: 'number',
      requiresArg: true,
      describe: `The longest input, [CLS] and [SEP] included; longer texts are cut; ${usualMaxTokensText}`,
    },
    calibrate: {
      type: 'string',
      requiresArg: true,
      describe: 'Texts like those the model will see, {"text": …} a line; 100 and more are good',
    },
    recipe: {
      type: 'string',
      requiresArg: true,
      describe: 'A recipe.json of lm2mcu compress: the model is compressed as it says',
    },
    pooling: {
      choices: ['cls', 'mean'],
      requiresArg: true,
      describe: 'How an embedding model makes one vector, where its folder does not say',
    },
    plan: {
      choices: planGoals,
      requiresArg: true,
      describe:
        'A fast plan that fits (the default of boards), the fastest whether it fits or not (of wasm), or the one with least RAM',
    },
    cache: {
      type: 'string',
      default: 'full',
      requiresArg: true,
      describe: `What a model that generates keeps of the tokens before: ${cacheForms}`,
    },
    weights: {
      choices: weightKinds,
      default: 'int8',
      requiresArg: true,
      describe: 'w7: seven bits, with which modules run faster where relaxed SIMD is',
    },
    'max-arena': {
      type: 'number',
      requiresArg: true,
      describe: 'Bytes of RAM for activations, where an application needs the rest',
    },
    emit: {
      choices: emitKinds,
      default: 'firmware',
      requiresArg: true,
      describe: 'Firmware to load, or a C library for a project of your own',
    },
    kernels: {
      choices: kernelSets,
      default: 'native',
      requiresArg: true,
      describe: 'Our kernels, or calls to Arm’s CMSIS-NN wherever it has one',
    },
    'cmsis-nn': {
      type: 'string',
      requiresArg: true,
      describe: 'For --kernels cmsis-nn: a checkout of CMSIS-NN, compiled into the firmware',
    },
    ...constraintOptions,
    out: {
      type: 'string',
      requiresArg: true,
      describe: 'The folder to write; <model>-<target> in the current folder if not given',
    },
  },
  examples: [
    [
      'lm2mcu build examples/debian-sections/model --target mps2-an386 --calibrate examples/debian-sections/calibration.jsonl --out build/sections',
      'Firmware for an emulated board',
    ],
    [
      'lm2mcu build examples/debian-sections/model --target wasm --weights w7 --calibrate examples/debian-sections/calibration.jsonl --out build/module',
      'One model.wasm for Node, browsers and workers',
    ],
  ],
  async run(
    { model, target: targetName, maxTokens, calibrate, pooling, plan, emit, out, ...flags },
    context,
  ) {
    const { progress, color } = context;
    const target = findAnyTarget(targetName);
    const calibration = calibrate === undefined ? null : readExamples(calibrate);
    const outDir = out ?? `${basename(resolve(model))}-${target.name}`;
    checkOutFolder(outDir);
    const recipe = flags.recipe === undefined ? null : readRecipeFile(flags.recipe);
    const { kernels, weights } = flags;
    const cache = parseCache(flags.cache);
    const constraint = readConstraint(flags);
    const request = {
      modelPath: model,
      maxTokens,
      calibration: calibration?.examples ?? null,
      pooling,
      cache,
      weights,
      recipe: recipe?.recipe,
      goal: plan,
      maxArenaBytes: checkMaxArena(flags.maxArena),
      kernels,
      constraint: constraint?.source,
      progress: progress.report,
    };
    progress.report('read the model');
    const { compiled, write } = isEngine(target)
      ? forEngine({ ...request, target }, emit, flags.cmsisNn)
      : forBoard({ ...request, target, emit }, findCmsisNn(kernels, emit, flags.cmsisNn));
    const folder = openOutFolder(outDir);
    const release = context.onInterrupt(() => {
      endLeftovers();
      folder.discard();
    });
    try {
      progress.report(isEngine(target) ? 'compile and link the module' : workOf(emit));
      const { report, files, warnings } = await write({
        folder: folder.path,
        options: {
          ...{
            target: target.name,
            maxTokens: compiled.program.maxTokens,
            pooling: pooling ?? null,
          },
          ...{ plan: compiled.goal, kernels, weights, maxArena: flags.maxArena ?? null },
          cache: cacheText(cache),
          ...constraint?.options,
        },
        inputs: inputsOf(compiled, target, {
          calibrate: calibration?.digest,
          ...recipe?.digests,
          ...constraint?.digests,
        }),
      });
      folder.commit();
      return {
        json: { out: outDir, files, warnings, report },
        text: [renderReport(report, 'text', { color }), ...warnings, `written to ${outDir}`].join(
          '\n',
        ),
      };
    } finally {
      release();
      folder.discard();
    }
  },
});

type Writing = Pick<ModuleArtifactsRequest, 'folder' | 'options' | 'inputs'>;

/** A compiled model, and what writes it. */
interface Work {
  readonly compiled: CompiledProgram<AnyTarget>;
  readonly write: (writing: Writing) => Promise<Artifacts>;
}

function forBoard(request: CompileRequest, cmsisNn: CmsisNn | undefined): Work {
  const { emit = 'firmware' } = request;
  if (emit === 'firmware') checkCompiler();
  const compiled = compile(request);
  return { compiled, write: (writing) => writeArtifacts({ compiled, emit, cmsisNn, ...writing }) };
}

function forEngine(
  request: ProgramRequest<EngineTarget>,
  emit: EmitKind,
  cmsisNn: string | undefined,
): Work {
  if (emit !== 'firmware' || cmsisNn !== undefined) throw onlyForBoards(request.target.name);
  const compiled = compileModule(request);
  return { compiled, write: (writing) => writeModuleArtifacts({ compiled, ...writing }) };
}

function onlyForBoards(name: string) {
  return userError({
    code: 'only-for-boards',
    message: `--emit and --cmsis-nn are for boards; --target ${name} always makes model.wasm with model.mjs`,
    hint: 'Leave them out, or give a board (lm2mcu targets).',
  });
}

function workOf(emit: EmitKind): string {
  return emit === 'firmware' ? 'compile and link the C sources' : 'write the library';
}

function checkMaxArena(bytes: number | undefined): number | undefined {
  if (bytes === undefined || (Number.isInteger(bytes) && bytes > 0)) return bytes;
  throw userError({
    code: 'bad-max-arena',
    message: '--max-arena takes a whole number of bytes above 0',
    hint: 'For 40 KiB: --max-arena 40960',
  });
}

/** The user's CMSIS-NN, where a firmware calls it; a library's user links it later. */
function findCmsisNn(
  kernels: KernelSet,
  emit: EmitKind,
  folder: string | undefined,
): CmsisNn | undefined {
  if (folder === undefined) {
    if (kernels === 'native' || emit === 'library') return undefined;
    throw userError({
      code: 'needs-cmsis-nn',
      message: '--kernels cmsis-nn makes firmware that calls CMSIS-NN, which lm2mcu does not bring',
      hint: 'Give a checkout of https://github.com/ARM-software/CMSIS-NN: --cmsis-nn <folder>; or make a library: --emit library.',
    });
  }
  if (kernels === 'native') {
    throw userError({
      code: 'unused-cmsis-nn',
      message: '--cmsis-nn gives a library that --kernels native does not call',
      hint: 'Add --kernels cmsis-nn, or leave --cmsis-nn out.',
    });
  }
  return emit === 'library' ? undefined : openCmsisNn(folder);
}

function findAnyTarget(name: string): AnyTarget {
  const engines = listEngines();
  return engines.includes(name) ? loadEngine(name) : findTarget(name, engines);
}

/** Says which name was meant. */
export function findTarget(name: string, others: readonly string[] = []): Target {
  try {
    return loadTarget(name, others);
  } catch (error) {
    if (!(error instanceof Lm2mcuError) || error.details.code !== 'unknown-target') throw error;
    const { hint = '' } = error.details;
    throw userError({
      ...error.details,
      hint: didYouMean(name, [...listTargets(), ...others]) + hint,
    });
  }
}

function inputsOf(
  { imported }: Pick<CompiledProgram<AnyTarget>, 'imported'>,
  target: AnyTarget,
  files: Readonly<Record<string, string | undefined>>,
): Manifest['inputs'] {
  const given = Object.entries(files).flatMap(([name, digest]) =>
    digest === undefined ? [] : [[name, digest] as const],
  );
  return {
    model: `sha256:${imported.card.sha256}`,
    target: digestOf(new TextEncoder().encode(JSON.stringify(target))),
    ...Object.fromEntries(given),
  };
}
