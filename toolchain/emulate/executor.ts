/**
 * A compiled model on any machine behind one interface: text or tokens in, the raw integers out, the
 * same on every machine.
 *
 *   interpreter   the graph of graph.bin, op by op: the definition of the bits
 *   program       the schedule of that graph on one arena, as the chip does it; NPU jobs by the simulator
 *   host          the emitted C with portable kernels, compiled here
 *   wasm          the model as a WebAssembly module
 *   emulator      the firmware image under QEMU
 *   board         the firmware on a real board, through its console on a serial port
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { emitModel, type SourceFile } from '../emit/c-model.ts';
import type { WasmVariant } from '../emit/wasm-model.ts';
import { compactEncoder, type Example } from '../emulate/stored-model.ts';
import { assertExhaustive, internalError, Lm2mcuError, userError } from '../errors.ts';
import { greedy, type Sampling } from '../generate/sample.ts';
import { type Matrix, outputOf } from '../ir/graph.ts';
import { everyRow } from '../passes/every-row.ts';
import { type KernelOf, kernelsFor, loadKernels } from '../schedule/kernels.ts';
import type { NpuTarget } from '../schedule/npu.ts';
import { npuOf } from '../schedule/npu-target.ts';
import type { Program } from '../schedule/program.ts';
import { schedule } from '../schedule/schedule.ts';
import { kernelScratch } from '../schedule/scratch.ts';
import { sha256Of } from '../sha256.ts';
import { isEngine } from '../targets.ts';
import { compileTokenizer } from '../tokenizer/compile.ts';
import { checkGenerates, checkTokens } from './checks.ts';
import { generateTokens } from './generate-tokens.ts';
import { openHostConsole } from './host-c.ts';
import { interpret, type Tokens } from './interpreter.ts';
import { type AnswerListener, answerListener, type Listener } from './live-text.ts';
import type { ProcessConsole } from './process-console.ts';
import { programRuns } from './program.ts';
import { openQemuConsole } from './qemu.ts';
import { parseStoredModel, type RunnableModel, readGraphFile } from './stored-model.ts';
import {
  makeWasmFiles,
  openWasmModel,
  readWasmFiles,
  type WasmFiles,
  wasmFeatures,
} from './wasm.ts';
import { inModule } from './wasm-executor.ts';

export const executorKinds = ['interpreter', 'program', 'host', 'wasm', 'emulator'] as const;
export type ExecutorKind = (typeof executorKinds)[number];
/** A board is named by its port. */
export type ExecutorName = ExecutorKind | 'board';

export interface Answer {
  /** Special tokens included. */
  readonly tokens: number;
  readonly truncated: boolean;
  /** (rows, columns); times the output tensor's scale they are reals. */
  readonly outputs: Int16Array;
  readonly rows: number;
  readonly columns: number;
  /** Null where they cannot be counted. */
  readonly instructions: { readonly tokenizer: number; readonly inference: number } | null;
}

export interface GenerateOptions extends Sampling {
  readonly mostTokens: number;
}

/** `end`: the model said so; `length`: as many as were asked for; `context`: no more have room. */
export type StopReason = 'end' | 'length' | 'context' | 'cancelled';

export interface Generated extends Pick<Answer, 'tokens' | 'truncated'> {
  /** Compact ids. */
  readonly generated: readonly number[];
  readonly stopped: StopReason;
  /** Whether the text is one that the build's constraint permits; null: it has none. */
  readonly complete: boolean | null;
  /** `inference`: of the prompt; `generation`: of all tokens behind it. */
  readonly instructions:
    | (NonNullable<Answer['instructions']> & { readonly generation: number })
    | null;
}

export type Text = Pick<Example, 'text' | 'textPair'>;

export interface Executor {
  readonly on: ExecutorName;
  readonly model: RunnableModel;
  classify(example: Text): Promise<Answer>;
  /** Compact ids, special tokens included. */
  runTokens(tokens: Tokens): Promise<Answer>;
  /** Of a model that generates: what it says behind a text or tokens. */
  generate(
    prompt: Text | Tokens,
    options: GenerateOptions,
    listener?: Listener,
  ): Promise<Generated>;
  /** The logits behind every token; null where only those behind the last can be had. */
  readonly foresee: ((tokens: Tokens) => Matrix) | null;
  close(): Promise<void>;
}

/** A line in, a line of JSON out. */
export interface LineConsole {
  /**
   * Where the way there is noisy, an answer that is not plausible is asked for again: then a listener
   * hears two.
   */
  ask(
    line: string,
    isPlausible: (answer: object) => boolean,
    listener?: AnswerListener,
  ): Promise<string>;
  close(): Promise<void>;
}

export interface BuiltModel {
  readonly graphBin: Uint8Array;
  /** `Firmware.emulatorElfPath`; only `emulator` needs it. */
  readonly emulatorElfPath?: string | undefined;
  /** For `wasm`; made of graph.bin where it is not there. */
  readonly module?: WasmFiles | undefined;
}

export interface ExecutorOptions {
  /** `host`: with address and undefined-behaviour sanitizers. */
  readonly sanitize?: boolean;
  /** `wasm`: without it the best that this Node has. */
  readonly variant?: WasmVariant;
}

/** `built`: what `lm2mcu build` wrote, or its parts. */
export async function openExecutor(
  on: ExecutorKind,
  built: string | BuiltModel,
  { sanitize = false, variant }: ExecutorOptions = {},
): Promise<Executor> {
  const { graphBin, emulatorElfPath, module } =
    typeof built === 'string' ? readBuilt(built) : built;
  const model = parseStoredModel(graphBin);
  switch (on) {
    case 'interpreter': {
      const whole = everyRow(model.graph);
      return inProcess(
        on,
        model,
        () => (tokens) => interpret(model.graph, tokens),
        (tokens) => interpret(whole, tokens)[0]!,
      );
    }
    case 'program': {
      const npu = npuOf(model.target, kernelsOf(model.target.core.features));
      const program = programOf(model, model.target.core.features, npu);
      return inProcess(on, model, () => programRuns(program), null);
    }
    case 'host': {
      const sources = portableSources(model, graphBin);
      return onProcess(on, model, await openHostConsole({ sources, sanitize }));
    }
    case 'wasm': {
      const files = module ?? (await moduleOf(model, graphBin));
      return inModule(on, model, await openWasmModel(files, variant));
    }
    case 'emulator': {
      const { target } = model;
      if (emulatorElfPath === undefined || isEngine(target)) throw noFirmware();
      return onProcess(on, model, await openQemuConsole({ target, elfPath: emulatorElfPath }));
    }
    default:
      return assertExhaustive(on);
  }
}

function readBuilt(folder: string): BuiltModel {
  return {
    graphBin: readGraphFile(join(folder, 'graph.bin')),
    emulatorElfPath: firmwareImage(folder),
    module: readWasmFiles(folder) ?? undefined,
  };
}

/** What QEMU runs of a build. */
export function firmwareImage(folder: string): string | undefined {
  const images = ['firmware-twin.elf', 'firmware.elf'].map((name) => join(folder, name));
  return images.find((path) => existsSync(path));
}

/** A module of a model that was compiled for whatever target. */
export function moduleOf(model: RunnableModel, graphBin: Uint8Array): Promise<WasmFiles> {
  return makeWasmFiles(model, programOf(model, wasmFeatures), sha256Of(graphBin));
}

function noFirmware(): Lm2mcuError {
  return userError({
    code: 'no-firmware',
    message: 'there is no firmware image beside graph.bin',
    where: 'firmware.elf',
    hint: 'Build for a board: lm2mcu build <model> --target <board> --out <dir>',
  });
}

/** As a target with these features would run it. */
export function programOf(
  { graph, maxTokens, plan }: RunnableModel,
  features: readonly string[],
  npu: NpuTarget | null = null,
): Program {
  return schedule(graph, {
    maxTokens,
    tileRows: plan.tileRows,
    recomputeInputs: plan.recomputeInputs,
    scratchBytes: kernelScratch(kernelsOf(features), maxTokens),
    npu,
  });
}

function kernelsOf(features: readonly string[]): KernelOf {
  return kernelsFor(features, loadKernels());
}

/** The target's own kernels are not for this machine. */
export function portableSources(model: RunnableModel, graphBin: Uint8Array): readonly SourceFile[] {
  const features: readonly string[] = [];
  return emitModel({
    program: programOf(model, features),
    card: model.card,
    tokenizer: compileTokenizer(model.tokenizer),
    constraint: model.constraint,
    targetName: model.target.name,
    features,
    kernels: loadKernels(),
    sha256: sha256Of(graphBin),
  }).sources;
}

function inProcess(
  on: ExecutorKind,
  model: RunnableModel,
  begin: () => (tokens: Tokens, start: number) => readonly Matrix[],
  foresee: Executor['foresee'],
): Executor {
  const encode = compactEncoder(model, model.maxTokens);
  const answer = (tokens: Tokens, truncated: boolean): Answer => {
    const { data, rows, columns } = begin()(tokens, 0)[0]!;
    const outputs = Int16Array.from(data);
    return { tokens: tokens.ids.length, truncated, outputs, rows, columns, instructions: null };
  };
  return {
    on,
    model,
    classify: async (example) => {
      const tokens = encode(example);
      return answer(tokens, tokens.truncated);
    },
    runTokens: async (tokens) => {
      checkTokens(model, tokens);
      return answer(tokens, false);
    },
    generate: async (prompt, options, listener) => {
      checkGenerates(model);
      const truncated = 'text' in prompt && encode(prompt).truncated;
      const tokens = 'text' in prompt ? encode(prompt) : prompt;
      checkTokens(model, tokens);
      return { ...(await generateTokens(model, begin(), tokens, options, listener)), truncated };
    },
    foresee,
    close: async () => {},
  };
}

function onProcess(on: ExecutorKind, model: RunnableModel, console: ProcessConsole): Executor {
  return onConsole(on, model, {
    ask: (line, _isPlausible, listener) => console.ask(line, { listener }),
    close: () => console.close(),
  });
}

/** Through the firmware's console, wherever that is. */
export function onConsole(on: ExecutorName, model: RunnableModel, console: LineConsole): Executor {
  const tokensOf = compactEncoder(model, model.maxTokens);
  /** Lines have no checksum; the number of tokens tells most damage. */
  const isWhole = (tokens: () => number) => (answer: object) =>
    !('tokens' in answer) || answer.tokens === tokens();
  const askForLogits = async (): Promise<void> => {
    if (model.card.kind === 'generation') await console.ask(sampleLine(logitsOnly), () => true);
  };
  return {
    on,
    model,
    generate: async (prompt, options, listener) => {
      checkGenerates(model);
      // A line of the console has no line ends within, which a decoder may tell from spaces.
      const isLine = 'text' in prompt && !/[\t\n\r]/.test(prompt.text);
      const tokens = 'text' in prompt ? tokensOf(prompt) : { ...prompt, truncated: false };
      checkTokens(model, tokens);
      await console.ask(sampleLine(options), () => true);
      const line = isLine ? textLine({ text: prompt.text }) : idsLine(tokens);
      const { truncated } = tokens;
      const heard = listener && answerListener(listener);
      const asked = options.mostTokens > 0;
      // Of a damaged line of options the console knows nothing, and gives what was asked for before.
      const isOfOptions = (answer: object): boolean =>
        'error' in answer || 'generated' in answer === asked;
      const answer = await console.ask(line, isOfOptions, heard);
      const said = asked ? parseGenerated(answer) : parseNothing(model, answer);
      return { ...said, truncated };
    },
    classify: async (example) => {
      await askForLogits();
      if (!isOneLine(model, example)) {
        const { truncated, ...tokens } = tokensOf(example);
        const whole = isWhole(() => tokens.ids.length);
        const answer = await console.ask(idsLine(tokens), whole);
        return { ...parseAnswer(model, answer), truncated };
      }
      const whole = isWhole(() => tokensOf(example).ids.length);
      const answer = await console.ask(textLine(example), whole);
      const roomBytes = missingRoom(answer);
      const cut = roomBytes === null ? null : cutToFit(model, example, roomBytes);
      return parseAnswer(model, cut === null ? answer : await console.ask(textLine(cut), whole));
    },
    runTokens: async (tokens) => {
      checkTokens(model, tokens);
      await askForLogits();
      return parseAnswer(
        model,
        await console.ask(
          idsLine(tokens),
          isWhole(() => tokens.ids.length),
        ),
      );
    },
    foresee: null,
    close: () => console.close(),
  };
}

/** What the console had for a line that was too long for it. */
function missingRoom(line: string): number | null {
  const { error }: ConsoleAnswer = JSON.parse(line);
  return error?.code === 'line-too-long' ? (error.limit ?? null) : null;
}

/** The text without an end that the model cuts off anyway; null where the end counts. */
function cutToFit(model: RunnableModel, { text, textPair }: Text, roomBytes: number): Text | null {
  const marksBytes = '#text '.length + '\t'.length;
  const [share, pairShare] = shares(
    Buffer.byteLength(text),
    Buffer.byteLength(textPair ?? ''),
    roomBytes - marksBytes,
  );
  const start = firstWords(text, share);
  const cut =
    textPair === undefined
      ? { text: start }
      : { text: start, textPair: firstWords(textPair, pairShare) };
  const encode = compactEncoder(model, model.maxTokens);
  const [whole, part] = [encode({ text, textPair }), encode(cut)];
  return idsLine(whole) === idsLine(part) && part.truncated ? cut : null;
}

/** A short text is kept; two long ones keep their proportion, on which it depends who gives way. */
function shares(first: number, second: number, room: number): readonly [number, number] {
  if (second <= room / 2) return [room - second, second];
  if (first <= room / 2) return [first, room - first];
  const share = Math.floor((room * first) / (first + second));
  return [share, room - share];
}

function firstWords(text: string, bytes: number): string {
  const utf8 = new TextEncoder().encode(text);
  if (utf8.length <= bytes) return text;
  const start = new TextDecoder().decode(utf8.subarray(0, Math.max(0, bytes)));
  return start.replace(/\S*$/, '');
}

const lineBreaks = /[\t\n\r]/;

/** Whether a line says all of the text: BPE has tokens of line breaks, which a line cannot have. */
function isOneLine({ tokenizer }: RunnableModel, { text, textPair = '' }: Text): boolean {
  return tokenizer.kind === 'wordpiece' || !(lineBreaks.test(text) || lineBreaks.test(textPair));
}

/** A text on the console is one line: for BERT any white space is a space, and TAB begins the pair. */
export function textLine({ text, textPair }: Text): string {
  const oneLine = (part: string) => part.replaceAll(/[\t\n\r]/g, ' ');
  const line = textPair === undefined ? oneLine(text) : `${oneLine(text)}\t${oneLine(textPair)}`;
  return /^([#?]|!boot$)/.test(line) ? `#text ${line}` : line;
}

export function idsLine({ ids, segmentStart }: Tokens): string {
  const words = Array.from(ids, String);
  if (segmentStart < words.length) words.splice(segmentStart, 0, '|');
  return ['#ids', ...words].join(' ');
}

const logitsOnly: GenerateOptions = { ...greedy, mostTokens: 0 };

function sampleLine({ mostTokens, temperature, topK, topP, seed }: GenerateOptions): string {
  return ['#sample', mostTokens, temperature, topK, topP, seed].join(' ');
}

/** What the console prints; it is our own firmware that speaks. */
interface ConsoleAnswer {
  readonly tokens: number;
  readonly truncated: boolean;
  readonly logits?: readonly number[];
  readonly embedding?: readonly number[];
  readonly instructions: Answer['instructions'];
  readonly error?: ConsoleError;
}

interface ConsoleError {
  readonly code: string;
  readonly message: string;
  readonly limit?: number;
  /** Of a job that failed: the NPU's STATUS register, and how far it had read. */
  readonly npu?: { readonly status: string; readonly word: number };
}

export function parseAnswer({ graph }: RunnableModel, line: string): Answer {
  const answer: ConsoleAnswer = JSON.parse(line);
  if (answer.error !== undefined) throw consoleError(answer.error);
  const { tokens, truncated, logits, embedding, instructions } = answer;
  const values = logits ?? embedding;
  if (values === undefined) throw internalError('the console gave no values', line);
  const columns = outputOf(graph).shape[1];
  const rows = values.length / columns;
  return { tokens, truncated, outputs: Int16Array.from(values), rows, columns, instructions };
}

function parseGenerated(line: string): Generated {
  const answer: ConsoleAnswer & Generated = JSON.parse(line);
  if (answer.error !== undefined) throw consoleError(answer.error);
  const { tokens, truncated, generated, stopped, complete = null, instructions } = answer;
  const work = instructions && { ...instructions, generation: instructions.generation ?? 0 };
  return { tokens, truncated, generated, stopped, complete, instructions: work };
}

/** Where no token is asked for, the console gives the logits behind the prompt. */
function parseNothing(model: RunnableModel, line: string): Generated {
  const { tokens, truncated, instructions } = parseAnswer(model, line);
  const { constraint } = model;
  return {
    ...{ tokens, truncated, generated: [], stopped: 'length' },
    complete: constraint === undefined ? null : constraint.distances[0] === 0,
    instructions: instructions && { ...instructions, generation: 0 },
  };
}

function consoleError({ code, message, limit, npu }: ConsoleError): Lm2mcuError {
  if (npu !== undefined) {
    return new Lm2mcuError('internal', {
      code: 'npu-failed',
      message: `a job of the NPU failed: ${message}`,
      where: `word ${npu.word} of the command stream, status ${npu.status}`,
      hint: 'Check that the firmware was built for this board; if it was, this is a bug in lm2mcu: please report it.',
    });
  }
  if (code === 'line-too-long') {
    return userError({
      code,
      message,
      ...(limit === undefined ? {} : { availableBytes: limit }),
      hint: 'Give a shorter text: what goes beyond the model’s tokens is cut off anyway.',
    });
  }
  if (code === 'too-long') {
    return userError({ code, message, hint: 'Build with a larger --max-tokens.' });
  }
  return internalError(`the console answered ${code}: ${message}`);
}
