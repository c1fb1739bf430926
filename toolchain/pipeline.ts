/**
 * The whole compiler, in order: a model on disk to a Program and its C sources.
 *
 * Nothing is written here; `build/artifacts.ts` writes the results and links them.
 */
import { applyRecipe } from './compress/apply-recipe.ts';
import type { Recipe } from './compress/recipe.ts';
import { recipeNotes } from './compress/recipe-notes.ts';
import {
  type CompiledConstraint,
  type Constraint,
  type ConstraintSource,
  compileConstraint,
} from './constrain/constraint.ts';
import { sectionNames } from './emit/c-constants.ts';
import { endTokensOf } from './emit/c-generation.ts';
import { type Emitted, emitModel, type SourceFile } from './emit/c-model.ts';
import { libraryScratch } from './emit/library.ts';
import { emitModule, type ModuleSources } from './emit/wasm-model.ts';
import { selfTestOf } from './emulate/self-test.ts';
import type { Example, StoredModel } from './emulate/stored-model.ts';
import { internalError, userError } from './errors.ts';
import {
  type ImportedModel,
  type ImportOptions,
  importModel,
  type ModelCard,
} from './importers/index.ts';
import { type Graph, mostTokens } from './ir/graph.ts';
import { runPasses } from './ir/rewrite.ts';
import { serializeGraph } from './ir/serialize.ts';
import { verify } from './ir/verify.ts';
import { macsOf } from './ops/macs.ts';
import { mostScores } from './ops/softmax.ts';
import { type CachePolicy, fullCache, keepsDistances, promptNote } from './passes/cache-policy.ts';
import { checkCache, checkReach, positionsOf } from './passes/check-cache.ts';
import { fuseEmbedding, fuseLayerNorm } from './passes/fuse-layer-norm.ts';
import { fuseTable } from './passes/fuse-table.ts';
import { limitCache } from './passes/limit-cache.ts';
import { checkMaxTokens, usualMaxTokens } from './passes/max-tokens.ts';
import { narrowKeys } from './passes/narrow-keys.ts';
import { normalizeAttention } from './passes/normalize-attention.ts';
import { reorderVocabulary } from './passes/reorder-vocabulary.ts';
import { rowDemand } from './passes/row-demand.ts';
import { tieTables } from './passes/tie-tables.ts';
import { trimPositions } from './passes/trim-positions.ts';
import { calibrate } from './quantize/calibrate.ts';
import { calibrationTokens, uncalibrated } from './quantize/calibration-tokens.ts';
import { narrowWeights } from './quantize/narrow-weights.ts';
import { quantize } from './quantize/quantize.ts';
import { programInstructions } from './schedule/cost.ts';
import { type KernelOf, type KernelTable, kernelsFor, loadKernels } from './schedule/kernels.ts';
import { jobCycles, type NpuTarget } from './schedule/npu.ts';
import { npuOf } from './schedule/npu-target.ts';
import {
  arenaRegion,
  type ConstantSizes,
  constantParts,
  placeConstants,
} from './schedule/placement.ts';
import {
  choosePlan,
  type Plan,
  type PlanGoal,
  type Planned,
  realizeForms,
} from './schedule/plan.ts';
import type { Program } from './schedule/program.ts';
import { type ScratchBytes, schedule } from './schedule/schedule.ts';
import { kernelScratch } from './schedule/scratch.ts';
import { isSpare, spareFlashNote, withSpareFlash } from './schedule/spare-flash.ts';
import { sha256Of } from './sha256.ts';
import {
  type AnyTarget,
  type EngineTarget,
  isEngine,
  type KernelSet,
  kernelSetOf,
  type Target,
  withKernels,
} from './targets.ts';
import { type CompiledTokenizer, compileTokenizer } from './tokenizer/compile.ts';
import type { Tokenizer } from './tokenizer/parse.ts';

/** `library`: C sources for a project of the user's own, in `library/`; nothing is compiled. */
export const emitKinds = ['firmware', 'library'] as const;
export type EmitKind = (typeof emitKinds)[number];

/** `w7`: seven bits, which relaxed SIMD of WebAssembly multiplies exactly. */
export const weightKinds = ['int8', 'w7'] as const;
export type WeightKind = (typeof weightKinds)[number];

export interface ProgramRequest<T extends AnyTarget> {
  readonly modelPath: string;
  readonly pooling?: 'cls' | 'mean' | undefined;
  /** How the model is compressed; without it not at all. */
  readonly recipe?: Recipe | undefined;
  readonly target: T;
  /** Without it as many as is usual, or all that a shorter model takes. */
  readonly maxTokens?: number | undefined;
  /** What a decoder keeps of the tokens before; without it all. */
  readonly cache?: CachePolicy | undefined;
  /** Without it `int8`. */
  readonly weights?: WeightKind | undefined;
  /** Without it `native`. */
  readonly kernels?: KernelSet | undefined;
  /** Without it `fits`, or `fastest` where memory is not short. */
  readonly goal?: PlanGoal | undefined;
  /** No plan with a larger arena is taken. */
  readonly maxArenaBytes?: number | undefined;
  /** What generated texts may be; without it anything. */
  readonly constraint?: ConstraintSource | undefined;
  /** Texts like those the model will see; null calibrates on random tokens. */
  readonly calibration: readonly Example[] | null;
  readonly progress?: (phase: string, done: number, total: number) => void;
}

export interface CompileRequest extends ProgramRequest<Target> {
  /** Without it `firmware`. */
  readonly emit?: EmitKind | undefined;
}

/** A model as far as every target takes it. */
export interface CompiledProgram<T extends AnyTarget> {
  /** Before any compression. */
  readonly imported: ImportedModel;
  /** As it was quantized: simplified, each attention in the plan's form, positions trimmed. */
  readonly floatGraph: Graph<'float'>;
  readonly program: Program;
  readonly cache: CachePolicy;
  readonly goal: PlanGoal;
  readonly planned: Planned;
  readonly target: T;
  /** Of the target's core. */
  readonly kernelOf: KernelOf;
  /** Without the tokens that a recipe drops. */
  readonly vocabulary: Tokenizer;
  readonly tokenizer: CompiledTokenizer;
  readonly constraint: Constraint | undefined;
  readonly graphBin: Uint8Array;
  /** Multiply-accumulates at maxTokens, of the graph as imported and as compiled. */
  readonly macsUnoptimized: number;
  readonly notes: readonly string[];
}

export interface Compiled extends CompiledProgram<Target> {
  readonly constantSizes: ConstantSizes;
  /** Region by section of the linked image. */
  readonly placement: Readonly<Record<string, string>>;
  readonly sources: readonly SourceFile[];
}

/** To firmware or a library, in C. */
export function compile(request: CompileRequest): Compiled {
  const kernelSet = request.kernels ?? 'native';
  const target = withKernels(request.target, kernelSet);
  const kernels = loadKernels();
  const kernelOf = kernelsFor(target.core.features, kernels);
  // A library is built for a core that is not known here: it has room for the kernels of every one.
  const scratchOf = (maxTokens: number): ScratchBytes =>
    request.emit === 'library'
      ? libraryScratch(kernels, kernelSet, maxTokens)
      : kernelScratch(kernelOf, maxTokens);
  const arena = arenaRegion(target);
  const room = { name: `region ${arena.region.name}`, availableBytes: arena.availableBytes };
  // A library runs on the core alone.
  const npu = request.emit === 'library' ? null : npuOf(target, kernelOf);
  const machine = { room, kernelOf, scratchOf, npu };
  const planned = compileProgram({ ...request, target }, machine);
  const { emitted, ...compiled } = emitFor(planned, kernels, request);
  const regions = placeConstants(target, emitted.constantSizes);
  return {
    ...compiled,
    constantSizes: emitted.constantSizes,
    placement: {
      ...Object.fromEntries(constantParts.map((part) => [sectionNames[part], regions[part]])),
      [sectionNames.arena]: arena.region.name,
    },
    sources: emitted.sources,
  };
}

/** The sources; where flash is left over, with kernels that spend it. */
function emitFor(
  compiled: CompiledProgram<Target>,
  kernels: KernelTable,
  { emit = 'firmware', recipe }: CompileRequest,
) {
  const { program, imported, tokenizer, constraint, graphBin, goal, target } = compiled;
  const emitWith = ({ name, core }: Target): Emitted =>
    emitModel({
      ...{ program, card: imported.card, tokenizer, constraint, kernels },
      ...{ targetName: name, features: core.features, sha256: sha256Of(graphBin) },
    });
  const emitted = emitWith(target);
  const maySpend = emit === 'firmware' && recipe === undefined;
  const spending = maySpend ? withSpareFlash(target, program, goal) : null;
  const quick = spending === null ? emitted : emitWith(spending);
  const bytes = quick.constantSizes.encoder - emitted.constantSizes.encoder;
  if (spending === null || !isSpare(target, quick.constantSizes)) return { ...compiled, emitted };
  return {
    ...compiled,
    target: spending,
    kernelOf: kernelsFor(spending.core.features, kernels),
    notes: [...compiled.notes, ...(bytes > 0 ? [spareFlashNote(bytes)] : [])],
    emitted: quick,
  };
}

export interface CompiledModule extends CompiledProgram<EngineTarget> {
  readonly module: ModuleSources;
}

/** To a WebAssembly module, in AssemblyScript. */
export function compileModule(request: ProgramRequest<EngineTarget>): CompiledModule {
  const { target } = request;
  if ((request.kernels ?? 'native') !== 'native') throw noForeignKernels(target);
  const kernels = loadKernels();
  const kernelOf = kernelsFor(target.core.features, kernels);
  const scratchOf = (maxTokens: number) => kernelScratch(kernelOf, maxTokens);
  const room = { name: `the memory of ${target.name}`, availableBytes: mostArenaBytes };
  const compiled = compileProgram(request, { room, kernelOf, scratchOf, npu: null });
  const { program, imported, vocabulary, tokenizer, graphBin } = compiled;
  const module = emitModule({
    program,
    card: imported.card,
    tokenizer: vocabulary,
    compiledTokenizer: tokenizer,
    constraint: compiled.constraint,
    kernels,
    sha256: sha256Of(graphBin),
    selfTest: selfTestOf(program.graph, program.maxTokens, tokenizer.idOrder.length),
  });
  return { ...compiled, module };
}

/** Half of what 32-bit addresses reach: the other half is for constants and text. */
const mostArenaBytes = 2 ** 31;

/** Where the arena may lie. */
interface Room {
  /** For messages. */
  readonly name: string;
  readonly availableBytes: number;
}

/** What a program is planned for. */
interface Machine {
  readonly room: Room;
  readonly kernelOf: KernelOf;
  readonly scratchOf: (maxTokens: number) => ScratchBytes;
  readonly npu: NpuTarget | null;
}

function compileProgram<T extends AnyTarget>(
  request: ProgramRequest<T>,
  { room, kernelOf, scratchOf, npu }: Machine,
): CompiledProgram<T> {
  const { target, pooling, cache = fullCache } = request;
  const kernelSet = request.kernels ?? 'native';
  const most = request.maxTokens ?? usualMaxTokens(Number.POSITIVE_INFINITY);
  const imported = importModel(request.modelPath, importOptionsOf(pooling ?? null, cache, most));
  const positions = positionsOf(imported, cache);
  const maxTokens = request.maxTokens ?? usualMaxTokens(positions);
  if (kernelSet === 'cmsis-nn') checkSoftmaxLength(maxTokens);
  checkReach(cache, imported, maxTokens);
  checkMaxTokens(maxTokens, Math.min(positions, mostTokens));
  checkCache(cache, imported, maxTokens);
  // Before all passes: a recipe speaks of the model's constants by the names they came with.
  const { recipe } = request;
  const model = recipe === undefined ? imported : applyRecipe(imported, recipe);
  const tokenizer = compileTokenizer(model.tokenizer);

  const constraint = { source: request.constraint, maxTokens };
  const constrained = constrain(constraint, imported.card, model.tokenizer, tokenizer);

  const floatGraph = plannedGraph(model, tokenizer.idOrder, kernelSet, cache);

  const goal = request.goal ?? (isEngine(target) ? 'fastest' : 'fits');
  // The plan comes before calibration, so that every plan is calibrated as it will run.
  const { maxArenaBytes = Number.POSITIVE_INFINITY } = request;
  const isLimited = maxArenaBytes < room.availableBytes;
  const scratchBytes = scratchOf(maxTokens);
  const planned = choosePlan({
    graph: floatGraph,
    maxTokens,
    availableBytes: isLimited ? maxArenaBytes : room.availableBytes,
    room: isLimited ? '--max-arena' : room.name,
    goal,
    scratchBytes,
    npu,
    instructions: (program) =>
      programInstructions(program, maxTokens, kernelOf, target) +
      (npu === null ? 0 : jobCycles(program, maxTokens, npu) / cyclesPerInstruction(target)),
  });
  const realized = realizePlan(floatGraph, planned.plan, maxTokens);
  // Absorbed forms have weights of their own: only now are all of them there.
  const planGraph = request.weights === 'w7' ? narrowWeights(realized) : realized;
  verify(planGraph);

  const examples = calibrationTokens(request.calibration, maxTokens, model, tokenizer.idOrder);
  const calibration = calibrate(planGraph, examples, (done, total) =>
    request.progress?.('calibrate', done, total),
  );
  const legal = legalize(quantize(planGraph, calibration, imported.stored), npu);

  const program = schedule(legal, {
    maxTokens,
    tileRows: planned.plan.tileRows,
    recomputeInputs: planned.plan.recomputeInputs,
    scratchBytes,
    npu,
  });

  if (program.arenaBytes !== planned.arenaBytes) {
    throw internalError(
      `the plan has an arena of ${planned.arenaBytes} bytes, the program of ${program.arenaBytes}`,
      'schedule',
    );
  }

  const cacheNote = promptNote(cache);
  const stored: StoredModel = {
    card: imported.card,
    tokenizer: model.tokenizer,
    recipe: recipe ?? null,
    idOrder: tokenizer.idOrder,
    target,
    ...(constrained === null ? {} : { constraint: constrained.constraint }),
    maxTokens,
    cache,
    plan: planned.plan,
  };
  return {
    imported,
    floatGraph: planGraph,
    program,
    cache,
    goal,
    planned,
    target,
    kernelOf,
    vocabulary: model.tokenizer,
    tokenizer,
    constraint: constrained?.constraint,
    graphBin: serializeGraph(legal, stored),
    macsUnoptimized: macsOf(imported.graph, maxTokens),
    notes: [
      ...imported.notes,
      ...(recipe === undefined
        ? []
        : recipeNotes(recipe, tokenizer.idOrder, wordTableOf(imported.graph))),
      ...(request.calibration === null ? [uncalibrated] : []),
      ...(cacheNote === null ? [] : [cacheNote]),
      ...(constrained?.notes ?? []),
    ],
  };
}

/** For a model that generates, what its texts may be. */
function constrain(
  {
    source,
    maxTokens,
  }: { readonly source: ConstraintSource | undefined; readonly maxTokens: number },
  card: ModelCard,
  tokenizer: Tokenizer,
  compiled: CompiledTokenizer,
): CompiledConstraint | null {
  if (source === undefined) return null;
  if (card.kind !== 'generation') throw onlyForGenerating(card);
  const endTokens = endTokensOf({ card, tokenizer: compiled });
  return compileConstraint({ source, tokenizer, idOrder: compiled.idOrder, endTokens, maxTokens });
}

/** Cycles of an NPU count as the instructions that the core does not get to meanwhile. */
function cyclesPerInstruction(target: AnyTarget): number {
  return isEngine(target) ? 1 : target.core.cost.cyclesPerInstruction;
}

/** The constant that has a row a token. */
function wordTableOf(graph: Graph<'float'>): string | null {
  const node = graph.nodes.find((one) => one.op === 'lookupRows' && one.attrs.index === 'token');
  return node?.inputs[1] ?? null;
}

/** What a plan is made for. */
function plannedGraph(
  { graph }: Pick<ImportedModel, 'graph'>,
  idOrder: Int32Array,
  kernels: KernelSet,
  cache: CachePolicy,
): Graph<'float'> {
  return limitCache(simplify(graph, idOrder, kernels), cache);
}

/** As the plan has it, with all bits of the weights. */
function realizePlan(graph: Graph<'float'>, plan: Plan, maxTokens: number): Graph<'float'> {
  return trimPositions(realizeForms(graph, plan), maxTokens);
}

/** The exact passes; `idOrder`: the vocabulary id of each compact id. */
export function simplify(
  imported: Graph<'float'>,
  idOrder: Int32Array,
  kernels: KernelSet,
): Graph<'float'> {
  // Tokens that no text can reach lose their rows before anything is sized or quantized.
  const reorder = {
    name: 'reorder-vocabulary',
    run: (graph: Graph<'float'>) => reorderVocabulary(graph, idOrder),
  };
  return exactPasses(runPasses(imported, [reorder]), kernels);
}

/** Those that do not depend on the vocabulary. */
export function exactPasses(graph: Graph<'float'>, kernels: KernelSet): Graph<'float'> {
  return runPasses(graph, kernels === 'cmsis-nn' ? forCmsisNn : forOurKernels);
}

const forOurKernels = [
  fuseLayerNorm,
  // After the fusion: it then moves through one op per residual join, not two.
  rowDemand,
];

/** Sums and softmax stay what the library computes; it has no product with int16 and int8 operands. */
const forCmsisNn = [fuseEmbedding, rowDemand, normalizeAttention];

/** How a model is read to be built so. */
export function importOptionsOf(
  pooling: ModelCard['pooling'],
  cache: CachePolicy,
  maxTokens: number,
): ImportOptions {
  return {
    ...(pooling === null ? {} : { pooling }),
    ...(keepsDistances(cache) ? { leastPositions: maxTokens } : {}),
  };
}

/**
 * The float graph that a stored model was quantized from, with all bits of its weights where `w7` took
 * one away; `imported`: the model it was made of.
 */
export function floatGraphOf(
  imported: ImportedModel,
  { recipe, idOrder, plan, maxTokens, cache, target }: Omit<StoredModel, 'card' | 'tokenizer'>,
): Graph<'float'> {
  const model = recipe === null ? imported : applyRecipe(imported, recipe);
  return realizePlan(plannedGraph(model, idOrder, kernelSetOf(target), cache), plan, maxTokens);
}

/**
 * Only ops with a kernel are left, element-wise tables joined with the linear before them. What is a
 * table and a weight can only be stored once where both have the same integers.
 */
function legalize(graph: Graph<'quantized'>, npu: NpuTarget | null): Graph<'legal'> {
  const fused: Graph<'legal'> = { ...tieTables(fuseTable(graph)), stage: 'legal' };
  const legal = npu === null || npu.attention === null ? fused : narrowKeys(fused);
  verify(legal);
  return legal;
}

function noForeignKernels({ name }: EngineTarget) {
  return userError({
    code: 'no-foreign-kernels',
    message: `--kernels cmsis-nn is Arm’s library for Cortex-M; --target ${name} has kernels of its own`,
    hint: 'Leave --kernels out.',
  });
}

function onlyForGenerating({ name, kind }: ModelCard) {
  return userError({
    code: 'not-generating',
    message: `a constraint is for models that generate text; ${name} is of the kind ${kind}`,
    hint: 'Leave --json-schema, --pattern and --commands out.',
  });
}

function checkSoftmaxLength(maxTokens: number): void {
  if (!(maxTokens > mostScores)) return;
  throw userError({
    code: 'too-many-tokens-for-cmsis-nn',
    message: `--max-tokens ${maxTokens} is more than the softmax of CMSIS-NN can add up`,
    where: `it is defined for ${mostScores} tokens and fewer`,
    hint: `Use --max-tokens ${mostScores}, or --kernels native.`,
  });
}
