/** A model of the fixtures as a module, as `lm2mcu build --target wasm` writes it. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type LinkedModule, linkModule } from '../../toolchain/build/wasm-module.ts';
import { type CompiledModule, compileModule } from '../../toolchain/pipeline.ts';
import { loadEngine } from '../../toolchain/targets.ts';
import { fixturePath } from '../ir/graphs.ts';

export interface BuiltModule extends LinkedModule {
  readonly compiled: CompiledModule;
}

export async function buildFixture(name: string, folder: string): Promise<BuiltModule> {
  const compiled = compileModule({
    modelPath: fixturePath(name),
    target: loadEngine('wasm'),
    maxTokens: 24,
    weights: 'w7',
    calibration: null,
  });
  const linked = await linkModule(compiled.module);
  writeFileSync(join(folder, 'model.wasm'), linked.wasm);
  writeFileSync(join(folder, 'model.mjs'), linked.loader);
  return { ...linked, compiled };
}
