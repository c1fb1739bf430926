/**
 * model.wasm and model.mjs as their users meet them: with any text, in a browser, with damaged files, in
 * engines without SIMD. WASM_SHOTS=folder keeps a screenshot of the demo.
 */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { makePage } from '../../examples/browser/make-page.ts';
import type { Model, ModelError } from '../../firmware-templates/wasm/model.d.ts';
import { linkModule } from '../../toolchain/build/wasm-module.ts';
import { type Executor, openExecutor } from '../../toolchain/emulate/executor.ts';
import { hasBrowser, openBrowser } from '../report/browser.ts';
import { type BuiltModule, buildFixture } from './build.ts';

const folder = mkdtempSync(join(tmpdir(), 'lm2mcu-wasm-'));
let built: BuiltModule;
let model: Model;
let reference: Executor;

interface Loader {
  load(options?: object): Promise<Model>;
}

async function loader(path = join(folder, 'model.mjs')): Promise<Loader> {
  return await import(pathToFileURL(path).href);
}

beforeAll(async () => {
  built = await buildFixture('seqcls-gelu', folder);
  const { load } = await loader();
  model = await load();
  reference = await openExecutor('interpreter', { graphBin: built.compiled.graphBin });
}, 300_000);
afterAll(() => rmSync(folder, { recursive: true }));

test('two builds are the same bytes', async () => {
  const again = await linkModule(built.compiled.module);
  expect(Buffer.compare(again.wasm, built.wasm)).toBe(0);
  expect(again.loader).toBe(built.loader);
});

test('the code is small, and the memory not much more than what lies in it', () => {
  const { codeBytes, dataBytes, arenaBytes, pages } = built.sizes;
  expect(codeBytes).toBeLessThan(40_000);
  expect(pages * 65_536).toBeLessThan(dataBytes + arenaBytes + 3 * 65_536);
});

describe('a start compiles each byte once, and nothing that it does not run', () => {
  /** Bytes given to the engine's compiler, in the order in which they come. */
  const compiledBytes = async (work: () => Promise<unknown>): Promise<readonly number[]> => {
    const { compile, Module } = WebAssembly;
    const sizes: number[] = [];
    const count = (bytes: Uint8Array) => {
      sizes.push(bytes.byteLength);
      return bytes;
    };
    WebAssembly.compile = (bytes: Uint8Array) => compile(count(bytes));
    WebAssembly.Module = new Proxy(Module, {
      construct: (target, [bytes]) => new target(count(bytes)),
    });
    try {
      await work();
      return sizes;
    } finally {
      Object.assign(WebAssembly, { compile, Module });
    }
  };
  test('an import compiles nothing', async () => {
    const copy = join(folder, 'copy.mjs');
    writeFileSync(copy, readFileSync(join(folder, 'model.mjs')));
    expect(await compiledBytes(() => loader(copy))).toEqual([]);
  });

  test('plain SIMD', async () => {
    const { load } = await loader();
    const sizes = await compiledBytes(() => load({ variant: 'simd' }));
    expect(sizes).toEqual([built.wasm.length]);
  });

  test('relaxed SIMD, only where it is fast', async () => {
    const { load } = await loader();
    let variant = '';
    const [all, probe, ...rest] = await compiledBytes(async () => {
      ({ variant } = await load());
    });
    expect(all).toBe(built.wasm.length);
    expect(probe).toBeLessThan(100);
    expect(rest).toEqual(variant === 'relaxed' ? [built.sizes.relaxedBytes] : []);
  });
});

test('any text, and any bytes', async () => {
  await fc.assert(
    fc.asyncProperty(fc.string({ unit: 'binary' }), fc.uint8Array(), async (text, bytes) => {
      const expected = await reference.classify({ text: Buffer.from(text).toString() });
      expect(model.classify(text)).toMatchObject({ logits: Array.from(expected.outputs) });
      const decoded = new TextDecoder('utf-8', { ignoreBOM: true }).decode(bytes);
      const { outputs, tokens } = await reference.classify({ text: decoded });
      expect(model.classify(bytes)).toMatchObject({ logits: Array.from(outputs), tokens });
    }),
    { numRuns: 100, seed: 1 },
  );
});

test('a long text is cut, and said to be', () => {
  const before = model.classify('a b c');
  const long = model.classify('word '.repeat(400_000), 'and a pair');
  expect(long).toMatchObject({ tokens: 24, truncated: true });
  expect(before.truncated).toBe(false);
  expect(model.classify('a b c')).toEqual(before);
});

test('tokens are spelled as in the vocabulary', () => {
  const { vocabulary } = built.compiled.imported.tokenizer;
  const { idOrder } = built.compiled.tokenizer;
  const { ids, tokens } = model.tokenize('the lamp [MASK] unbelievable', 'second one');
  expect(tokens).toEqual(Array.from(ids, (id) => vocabulary[idOrder[id]!]));
});

describe('what is wrong is said', () => {
  const failure = async (work: () => Promise<unknown>): Promise<string> => {
    try {
      await work();
    } catch (error) {
      const { code, message } = error as ModelError;
      const plain = message.replaceAll(String(built.wasm.length), '<bytes>');
      return `${code}: ${plain.replaceAll(`${folder}/`, '').replace(/[0-9a-f]{32}/g, '<checksum>')}`;
    }
    return 'nothing was wrong';
  };

  test('messages', async () => {
    const { load } = await loader();
    const cut = built.wasm.slice(0, 1000);
    const other = built.wasm.slice();
    other[other.length >> 1]! ^= 1;
    const lines = [
      await failure(() => load({ bytes: cut })),
      await failure(() => load({ bytes: other })),
      await failure(() => load({ url: 'nowhere.wasm' })),
      await failure(async () => model.run([1, 100_000])),
      await failure(async () => model.run([], 0)),
      await failure(withoutSimd),
    ];
    const golden = join(import.meta.dirname, 'errors.txt');
    const text = `${lines.join('\n')}\n`;
    if (process.env['BLESS'] === '1') writeFileSync(golden, text);
    expect(text, 'BLESS=1 rewrites it').toBe(readFileSync(golden, 'utf8'));
  });

  test('no changed byte of the module goes unnoticed', async () => {
    const { load } = await loader();
    await fc.assert(
      fc.asyncProperty(
        fc.nat(built.wasm.length - 1),
        fc.integer({ min: 1, max: 255 }),
        async (at, bits) => {
          const damaged = built.wasm.slice();
          damaged[at]! ^= bits;
          await expect(load({ bytes: damaged })).rejects.toMatchObject({ code: 'damaged-module' });
        },
      ),
      { numRuns: 50, seed: 2 },
    );
  });

  test('a module whose checksum was made to fit fails its self-test', async () => {
    const weight = built.wasm.length - built.sizes.relaxedBytes - (built.sizes.dataBytes >> 1);
    const damaged = built.wasm.slice().fill(0x55, weight, weight + 20_000);
    await expect(loadForged(damaged)).rejects.toMatchObject({ code: 'wrong-answer' });
  });

  /** As in an engine whose validator knows no SIMD. */
  async function withoutSimd(): Promise<unknown> {
    const { load } = await loader();
    const { validate } = WebAssembly;
    WebAssembly.validate = () => false;
    try {
      return await load();
    } finally {
      WebAssembly.validate = validate;
    }
  }

  /** With the checksum of other bytes. */
  async function loadForged(bytes: Uint8Array): Promise<Model> {
    const path = join(folder, 'forged.mjs');
    const text = readFileSync(join(folder, 'model.mjs'), 'utf8');
    writeFileSync(path, text.replace('if (digest !== description.digest)', 'if (false)'));
    const { load } = await loader(path);
    return load({ bytes });
  }
});

test('relaxed SIMD is asked for with a module that engines understand', async () => {
  const text = readFileSync(join(folder, 'model.mjs'), 'utf8');
  const numbers = /relaxedProbe = Uint8Array\.of\(([^;]*)\);/.exec(text)?.[1] ?? '';
  const probe = Uint8Array.from([...numbers.matchAll(/\d+/g)], ([number]) => Number(number));
  const [major] = process.versions.node.split('.').map(Number);
  expect(WebAssembly.validate(probe)).toBe(major! >= 22);
  const { load } = await loader();
  const { variant } = await load({ variant: 'relaxed' });
  expect(variant).toBe('relaxed');
});

test.skipIf(!hasBrowser)(
  'the demo in Chromium',
  async () => {
    const page = join(folder, 'page.html');
    writeFileSync(page, makePage(folder));
    const browser = await openBrowser();
    try {
      const shown = await browser.open(pathToFileURL(page).href);
      const ready = () =>
        shown.evaluate<boolean>('document.documentElement.dataset.ready === "yes"');
      while (!(await ready())) await new Promise((resolve) => setTimeout(resolve, 20));
      const textOf = (id: string) =>
        shown.evaluate<string>(`document.getElementById(${JSON.stringify(id)}).textContent`);
      expect(await textOf('trouble')).toBe('');
      await shown.evaluate(`(() => {
      const text = document.getElementById('text');
      text.value = 'the lamp is bright';
      text.dispatchEvent(new Event('input'));
    })()`);
      const expected = model.classify('the lamp is bright');
      expect(await textOf('label')).toBe(expected.label);
      expect(await textOf('time')).toContain(`${expected.tokens} tokens`);
      expect(await shown.evaluate('document.activeElement.id')).toBe('text');
      expect(shown.complaints).toEqual([]);
      expect(shown.requests.slice(1)).toEqual([]);
      const shots = process.env['WASM_SHOTS'];
      if (shots !== undefined) writeFileSync(join(shots, 'demo.png'), await shown.screenshot());
    } finally {
      await browser.close();
    }
  },
  60_000,
);
