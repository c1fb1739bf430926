/**
 * The model as a WebAssembly module in this process: the one that `lm2mcu build --target wasm` wrote, or
 * one made from graph.bin on the spot.
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Model, ModelError } from '../../firmware-templates/wasm/model.d.ts';
import { type LinkedModule, linkModule } from '../build/wasm-module.ts';
import { emitModule, type WasmVariant } from '../emit/wasm-model.ts';
import { userError } from '../errors.ts';
import { loadKernels } from '../schedule/kernels.ts';
import type { Program } from '../schedule/program.ts';
import { compileTokenizer } from '../tokenizer/compile.ts';
import { selfTestOf } from './self-test.ts';
import type { RunnableModel } from './stored-model.ts';

/** What kernels can count on in every engine. */
export const wasmFeatures: readonly string[] = ['wasm-simd'];

export type WasmFiles = Pick<LinkedModule, 'wasm' | 'loader'>;

/** Null: the folder has no module. */
export function readWasmFiles(folder: string): WasmFiles | null {
  const [wasm, loader] = [join(folder, 'model.wasm'), join(folder, 'model.mjs')];
  if (!existsSync(wasm) || !existsSync(loader)) return null;
  return { wasm: readFileSync(wasm), loader: readFileSync(loader, 'utf8') };
}

/** `program`: the schedule of the model's graph with scratch for `wasmFeatures`. */
export function makeWasmFiles(
  { card, tokenizer, constraint, graph, maxTokens, idOrder }: RunnableModel,
  program: Program,
  sha256: string,
): Promise<WasmFiles> {
  return linkModule(
    emitModule({
      program,
      card,
      tokenizer,
      compiledTokenizer: compileTokenizer(tokenizer),
      constraint,
      kernels: loadKernels(),
      sha256,
      selfTest: selfTestOf(graph, maxTokens, idOrder.length),
    }),
  );
}

interface Loader {
  load(options: { readonly bytes: Uint8Array; readonly variant?: WasmVariant }): Promise<Model>;
}

/** Without `variant` the best that this Node has. */
export async function openWasmModel(
  { wasm, loader }: WasmFiles,
  variant?: WasmVariant,
): Promise<Model> {
  // A module of its own, however often its file changes: a path would be loaded once only.
  const url = `data:text/javascript;base64,${Buffer.from(loader).toString('base64')}`;
  const { load }: Loader = await import(url);
  try {
    return await load({ bytes: wasm, ...(variant === undefined ? {} : { variant }) });
  } catch (cause) {
    throw isModelError(cause) ? badModule(cause) : cause;
  }
}

function isModelError(cause: unknown): cause is ModelError {
  return cause instanceof Error && cause.name === 'ModelError' && 'code' in cause;
}

function badModule({ code, message }: ModelError) {
  return userError({
    code,
    message,
    where: 'model.wasm',
    hint: 'Build it again: lm2mcu build <model> --target wasm --out <dir>',
  });
}
