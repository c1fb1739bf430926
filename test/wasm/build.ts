/** A model as a module, as `lm2mcu build --target wasm` writes it. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type LinkedModule, linkModule } from '../../toolchain/build/wasm-module.ts';
import {
  type CompiledModule,
  type CompileRequest,
  compileModule,
} from '../../toolchain/pipeline.ts';
import { loadEngine } from '../../toolchain/targets.ts';
import { fixturePath } from '../ir/graphs.ts';

export interface BuiltModule extends LinkedModule {
  readonly compiled: CompiledModule;
}

export async function buildModule(
  request: Omit<CompileRequest, 'target'>,
  folder: string,
): Promise<BuiltModule> {
  const compiled = compileModule({ ...request, target: loadEngine('wasm') });
  const linked = await linkModule(compiled.module);
  writeFileSync(join(folder, 'model.wasm'), linked.wasm);
  writeFileSync(join(folder, 'model.mjs'), linked.loader);
  return { ...linked, compiled };
}

export function buildFixture(name: string, folder: string): Promise<BuiltModule> {
  const modelPath = fixturePath(name);
  return buildModule({ modelPath, maxTokens: 24, weights: 'w7', calibration: null }, folder);
}
