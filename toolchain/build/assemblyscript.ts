/**
 * AssemblyScript to WebAssembly, in memory: the compiler is a library, loaded when it is first needed.
 */
import { readFileSync } from 'node:fs';
import type { WasmVariant } from '../emit/wasm-model.ts';
import { internalError } from '../errors.ts';
import { packagePath } from '../package-root.ts';

export interface AssemblyScriptRequest {
  readonly variant: WasmVariant;
  /** By path from `kernels/assemblyscript/` on; the kernels themselves are there already. */
  readonly sources: Readonly<Record<string, string>>;
  /** The one of `sources` whose exports are those of the module. */
  readonly entry: string;
  /** The memory comes from outside. */
  readonly importsMemory: boolean;
}

const features = { simd: ['simd'], relaxed: ['simd', 'relaxed-simd'] } as const satisfies Record<
  WasmVariant,
  readonly string[]
>;

/** The code, without any data. */
export async function compileAssemblyScript(request: AssemblyScriptRequest): Promise<Uint8Array> {
  const asc = await loadCompiler();
  const { variant, sources, entry, importsMemory } = request;
  let binary: Uint8Array | null = null;
  const { error, stderr } = await asc.main(
    [
      entry,
      ...['--outFile', 'module.wasm', '-O3', '--noAssert', '--runtime', 'stub', '--noColors'],
      ...features[variant].flatMap((feature) => ['--enable', feature]),
      ...(importsMemory ? ['--importMemory'] : []),
      // Pointers are usize and counts i32: mixing them is no mistake.
      '--disableWarning',
    ],
    {
      readFile: (name) => sources[name] ?? readKernel(name),
      writeFile: (_name, content) => {
        if (typeof content !== 'string') binary = content;
      },
      listFiles: () => [],
    },
  );
  if (error !== null || binary === null) {
    throw internalError(`the AssemblyScript compiler failed:\n${stderr.toString()}`, entry);
  }
  return binary;
}

/** As far as it is used here. */
interface Compiler {
  main(
    args: readonly string[],
    host: {
      readFile(name: string): string | null;
      writeFile(name: string, content: string | Uint8Array): void;
      listFiles(): readonly string[];
    },
  ): Promise<{ readonly error: Error | null; readonly stderr: { toString(): string } }>;
}

/** Its own types declare globals of AssemblyScript, which are not those of Node. */
const compilerPackage: string = 'assemblyscript/asc';

async function loadCompiler(): Promise<Compiler> {
  const { default: asc }: { readonly default: Compiler } = await import(compilerPackage);
  return asc;
}

function readKernel(name: string): string | null {
  if (!/^[a-z_]+\.ts$/.test(name)) return null; // asc looks for packages and folders, too
  try {
    return readFileSync(packagePath('kernels', 'assemblyscript', name), 'utf8');
  } catch {
    return null; // so does asc say what is not there
  }
}
