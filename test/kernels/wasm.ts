/** The kernels in AssemblyScript on cases: the arena lies in the module's memory. */
import { compileAssemblyScript } from '../../toolchain/build/assemblyscript.ts';
import { columnRequants, columnScales, paddedBias } from '../../toolchain/emit/wasm-linear.ts';
import type { WasmVariant } from '../../toolchain/emit/wasm-model.ts';
import { dtypes } from '../../toolchain/ir/dtypes.ts';
import type { Kernel } from '../../toolchain/schedule/kernels.ts';
import { NULL } from './arena.ts';
import type { Case } from './cases/common.ts';
import type { Answer } from './run.ts';

type KernelFunction = (...args: readonly number[]) => void;

/** Runs cases on the kernels. */
export async function openWasmKernels(
  kernels: readonly Kernel[],
  variant: WasmVariant,
): Promise<(one: Case) => Answer> {
  const { memory, exports } = await openInstance(kernels, variant);
  return (one) => answer(memory, exports[one.kernel.name] as KernelFunction, one);
}

/** Nanoseconds of a call, the least of many: whatever else the host does makes it longer. */
export async function openWasmTimer(
  kernels: readonly Kernel[],
  variant: WasmVariant,
): Promise<(one: Case) => number> {
  const { memory, exports } = await openInstance(kernels, variant);
  return (one) => {
    const kernel = exports[one.kernel.name] as KernelFunction;
    const calls: (readonly number[])[] = [];
    new Uint8Array(memory.buffer).set(one.before, arenaAddress);
    callsOf(memory, one, (...args) => calls.push(args));
    const runs = (count: number): number => {
      const start = performance.now();
      for (let i = 0; i < count; i++) for (const args of calls) kernel(...args);
      return (performance.now() - start) / count;
    };
    // Long enough for the clock and for the engine's better compiler, short enough to be undisturbed.
    const atOnce = Math.ceil(timedMs / Math.max(runs(10), 1e-6));
    const times = Array.from({ length: timings }, () => runs(atOnce));
    return 1e6 * Math.min(...times);
  };
}

const timedMs = 0.3;
const timings = 30;

/** With all kernels of kernels.json that the variant has. */
async function openInstance(kernels: readonly Kernel[], variant: WasmVariant) {
  const lines = kernels.map(
    ({ name, file }) => `export { ${name} } from './${file.replace(/^.*\/(.*)\.ts$/, '$1')}';\n`,
  );
  const sources = { 'kernels.ts': lines.join('') };
  const code = await compileAssemblyScript({
    ...{ variant, sources, entry: 'kernels.ts', importsMemory: true },
  });
  const memory = new WebAssembly.Memory({ initial: pages });
  const { instance } = await WebAssembly.instantiate(code, { env: { memory } });
  return { memory, exports: instance.exports };
}

const pages = 64;
/** Where the arena begins, and the parameters, behind the largest arena. */
const arenaAddress = 1 << 16;
const parametersAddress = 1 << 21;

function answer(memory: WebAssembly.Memory, kernel: KernelFunction, one: Case): Answer {
  const all = new Uint8Array(memory.buffer);
  const run = (): Uint8Array => {
    all.set(one.before, arenaAddress);
    callsOf(memory, one, kernel);
    return all.slice(arenaAddress, arenaAddress + one.before.length);
  };
  const after = run();
  const again = run();
  return { instructions: 0, repeatable: Buffer.compare(after, again) === 0, after };
}

/** Writes the parameters as the kernel reads them, and calls it as often as the case says. */
function callsOf(memory: WebAssembly.Memory, { kernel, args }: Case, call: KernelFunction): void {
  const view = new DataView(memory.buffer);
  let free = parametersAddress;
  const at = (index: number): number => (args[index] === NULL ? 0 : arenaAddress + args[index]!);
  const values = (from: number, count: number): readonly number[] => args.slice(from, from + count);
  const put = (data: Int32Array | Uint8Array): number => {
    const address = free;
    new Uint8Array(memory.buffer).set(
      new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
      address,
    );
    free += Math.ceil(data.byteLength / 16) * 16;
    return address;
  };
  const struct = (...words: readonly number[]): number => put(Int32Array.from(words));
  const int32s = (index: number, count: number): readonly number[] =>
    Array.from({ length: count }, (_, i) => view.getInt32(at(index) + 4 * i, true));
  const int8s = (index: number, count: number): readonly number[] =>
    Array.from({ length: count }, (_, i) => view.getInt8(at(index) + i));
  /** (heads): multiplier and shift. */
  const scores = (heads: number, index: number): number => {
    const shifts = int8s(index + 1, heads);
    return struct(...int32s(index, heads).flatMap((multiplier, i) => [multiplier, shifts[i]!]));
  };
  const norm = (): readonly number[] => [...values(0, 7), at(7), at(8)];
  switch (kernel.family) {
    case 'linear': {
      const [inputs, outputs] = [args[0]!, args[1]!];
      const integer = {
        multipliers: Int32Array.from(int32s(4, outputs)),
        shifts: Int8Array.from(int8s(5, outputs)),
        zeroPoint: args[6]!,
      };
      const bias = int32s(3, outputs);
      const largest = dtypes[kernel.input].max + 1;
      const scales = columnScales(
        integer,
        bias.map((one) => Math.abs(one) + inputs * 127 * largest),
      );
      const p = struct(
        ...[inputs, outputs, at(2), args[19] ?? 0, put(paddedBias(bias))],
        ...(scales === null ? [0, 0] : [put(scales.data), scales.shift]),
        ...[put(columnRequants(integer)), ...values(6, 3), at(9)],
      );
      call(p, at(10), args[11]!, args[12]!, at(13), args[14]!, at(15));
      return;
    }
    case 'attention': {
      const heads = args[0]!;
      const p = struct(...values(0, 5), scores(heads, 5), at(7), ...values(8, 3));
      const [rows, rowStart, tokens, , qStride, , kStride, , vStride] = args.slice(11);
      call(
        ...[p, rows!, rowStart!, tokens!, at(14), qStride!, at(16), kStride!, at(18), vStride!],
        ...[at(20), at(21), args[22]!],
      );
      return;
    }
    case 'normalized_attention': {
      const heads = args[0]!;
      const [multipliers, shifts] = [int32s(5, heads), int8s(6, heads)];
      const smallest = int32s(7, heads);
      const softmaxes = multipliers.flatMap((one, head) => [one, shifts[head]!, smallest[head]!]);
      const lists = [scores(heads, 3), struct(...softmaxes)];
      const p = struct(...values(0, 3), ...lists, ...values(8, 3));
      const [rows, rowStart, tokens, , qStride, , kStride, , vStride] = args.slice(11);
      call(
        ...[p, rows!, rowStart!, tokens!, at(14), qStride!, at(16), kStride!, at(18), vStride!],
        ...[at(20), at(21), args[22]!],
      );
      return;
    }
    case 'causal_attention': {
      const p = struct(...values(0, 4), at(4), at(5), ...values(6, 3));
      const [rows, rowStart, , qStride, , kStride, , vStride] = args.slice(9);
      call(
        ...[p, rows!, rowStart!, at(11), qStride!, at(13), kStride!, at(15), vStride!],
        ...[at(17), at(18), args[19]!],
      );
      return;
    }
    case 'heavy_attention': {
      const p = struct(...values(0, 4), at(4), at(5), ...values(6, 6));
      const [token, , , kStride, , vStride] = args.slice(12);
      call(...[p, token!, at(13), at(14), kStride!, at(16), vStride!, at(18), at(19), at(20)]);
      return;
    }
    case 'rotary':
      call(struct(...values(0, 4), at(4)), at(5), ...values(6, 3), at(9), args[10]!);
      return;
    case 'gated_product': {
      const p = struct(args[0]!, at(1), ...values(2, 3));
      call(p, at(5), args[6]!, at(7), args[8]!, args[9]!, at(10), args[11]!);
      return;
    }
    case 'residual_add': {
      const p = struct(...values(0, 4));
      call(p, at(4), args[5]!, at(6), args[7]!, args[8]!, at(9), args[10]!);
      return;
    }
    case 'scaled_add': {
      const p = struct(...values(0, 2), at(2), ...values(3, 5));
      call(p, at(8), args[9]!, at(10), args[11]!, args[12]!, at(13), args[14]!);
      return;
    }
    case 'rms_norm': {
      const beta = put(new Int32Array(args[0]! + 7).fill(args[5]!));
      const p = struct(...values(0, 5), ...values(6, 2), at(8), beta);
      call(p, at(9), args[10]!, args[11]!, at(12), args[13]!, at(14));
      return;
    }
    case 'attend_inputs': {
      const p = struct(...[args[0]!, args[1]!, scores(args[0]!, 2), at(4), at(5), ...values(6, 3)]);
      forBlocks(args.slice(12), (first, rows) =>
        call(
          ...[p, at(9), args[10]!, args[11]!, at(12) + first * args[13]!, args[13]!, first, rows],
          ...[args[14]!, at(15), at(18), at(19), args[20]!],
        ),
      );
      return;
    }
    case 'layer_norm':
      call(struct(...norm()), at(9), args[10]!, args[11]!, at(12), args[13]!, at(14));
      return;
    case 'add_layernorm':
      call(
        ...[struct(...norm(), ...values(9, 4)), at(13), args[14]!, at(15), args[16]!, args[17]!],
        ...[at(18), args[19]!, at(20)],
      );
      return;
    case 'lookup_rows':
    case 'weight_rows': {
      const p = struct(...values(0, 2), at(2), at(3), args[4]!);
      call(p, at(5), ...values(6, 2), at(8), args[9]!);
      return;
    }
    case 'cluster_rows': {
      const width = args[9]!;
      const clusters = Array.from({ length: args[5]! }, (_, index) => {
        const from = 10 + 7 * index;
        return [...values(from, 2), ...[2, 3, 4].map((i) => at(from + i)), scores(width, from + 5)];
      });
      const p = struct(...values(5, 2), at(7), at(8), width, struct(...clusters.flat()));
      call(p, at(0), ...values(1, 2), at(3), args[4]!);
      return;
    }
    case 'codebook_rows': {
      const tiers = Array.from({ length: args[5]! }, (_, index) => [
        ...[args[11 + 2 * index]!, at(12 + 2 * index)],
      ]);
      const firstBook = 11 + 2 * tiers.length;
      const books = Array.from({ length: args[10]! }, (_, index) => [
        ...[...values(firstBook + 3 * index, 2), at(firstBook + 3 * index + 2)],
      ]);
      const lists = [struct(...tiers.flat()), struct(...books.flat())];
      const p = struct(...values(5, 2), at(7), at(8), args[9]!, ...lists);
      call(p, at(0), ...values(1, 2), at(3), args[4]!);
      return;
    }
    case 'trigrams':
      call(struct(args[0]!), at(1), ...values(2, 4), at(6), args[7]!);
      return;
    case 'embed': {
      const p = struct(args[0]!, at(1), ...values(2, 6));
      call(p, at(8), args[9]!, at(10), args[11]!, ...values(12, 3), at(15), args[16]!);
      return;
    }
    case 'embed_layernorm':
      call(
        ...[struct(...norm(), at(9), ...values(10, 4)), at(14), args[15]!, at(16), args[17]!],
        ...[...values(18, 3), at(21), args[22]!, at(23)],
      );
      return;
    case 'add':
      call(
        struct(...values(0, 12)),
        at(12),
        args[13]!,
        at(14),
        args[15]!,
        args[16]!,
        at(17),
        args[18]!,
      );
      return;
    case 'mean_rows': {
      const p = struct(...values(0, 6));
      forBlocks(args.slice(6), (first, rows) =>
        call(p, at(6) + first * args[7]!, args[7]!, first, rows, args[8]!, at(9), at(12)),
      );
      return;
    }
    default:
      throw new RangeError(`no call for the family '${kernel.family}'`);
  }
}

/** Of an operand that comes in blocks: data, stride, tokens, carry, rows of even and of odd blocks. */
function forBlocks(
  [, , tokens, , even, odd]: readonly number[],
  run: (first: number, rows: number) => void,
): void {
  for (let first = 0, index = 0; first < tokens!; index++) {
    const rows = Math.min((index % 2 === 0 ? even : odd)!, tokens! - first);
    run(first, rows);
    first += rows;
  }
}
