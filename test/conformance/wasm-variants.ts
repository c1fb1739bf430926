/** A model as one WebAssembly module, in the form for plain SIMD and in that for relaxed SIMD. */
import { wasmVariants } from '../../toolchain/emit/wasm-model.ts';
import {
  type BuiltModel,
  type Executor,
  moduleOf,
  openExecutor,
} from '../../toolchain/emulate/executor.ts';
import { parseStoredModel } from '../../toolchain/emulate/stored-model.ts';

export async function openVariants({ graphBin }: BuiltModel): Promise<readonly Executor[]> {
  const module = await moduleOf(parseStoredModel(graphBin), graphBin);
  return Promise.all(
    wasmVariants.map((variant) => openExecutor('wasm', { graphBin, module }, { variant })),
  );
}
