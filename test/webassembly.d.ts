/** As far as tests use it: neither the library of the language nor Node's types have it. */
declare namespace WebAssembly {
  class Memory {
    constructor(descriptor: { readonly initial: number });
    readonly buffer: ArrayBuffer;
  }
  class Module {
    constructor(bytes: Uint8Array);
  }
  interface Instance {
    readonly exports: Readonly<Record<string, unknown>>;
  }
  let validate: (bytes: Uint8Array) => boolean;
  let compile: (bytes: Uint8Array) => Promise<Module>;
  function instantiate(
    bytes: Uint8Array,
    imports?: Readonly<Record<string, Readonly<Record<string, unknown>>>>,
  ): Promise<{ readonly instance: Instance }>;
}
