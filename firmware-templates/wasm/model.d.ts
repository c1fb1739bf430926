/** A model compiled by lm2mcu: text in, label out, nothing else needed but model.wasm beside this. */

export interface LoadOptions {
  /** The bytes of model.wasm; without them it is read from beside model.mjs. */
  readonly bytes?: Uint8Array | ArrayBuffer;
  /** Where model.wasm is. */
  readonly url?: string | URL;
  /** model.wasm compiled already, where bytes may not be compiled. */
  readonly module?: WebAssembly.Module;
  /** Instead of the best that the engine has. */
  readonly variant?: 'simd' | 'relaxed';
}

export interface Answer {
  /** The best class, of classification. */
  readonly label?: string;
  /** By label, of classification. */
  readonly scores?: Readonly<Record<string, number>>;
  /** The best class of every token, of token classification. */
  readonly tokenLabels?: readonly string[];
  readonly embedding?: readonly number[];
  /** The raw integers, the same on every machine; a row a token where tokens are labelled. */
  readonly logits: readonly number[] | readonly (readonly number[])[];
  /** Special tokens included. */
  readonly tokens: number;
  /** The text was longer than the model takes, and its end did not count. */
  readonly truncated: boolean;
}

export interface Tokens {
  /** As the model counts them. */
  readonly ids: Uint16Array;
  /** As the vocabulary writes them. */
  readonly tokens: readonly string[];
  /** Where the second text begins; the number of tokens where there is none. */
  readonly segmentStart: number;
  readonly truncated: boolean;
}

export interface Card {
  readonly name: string;
  readonly kind: 'classification' | 'token-classification' | 'embedding';
  readonly labels: readonly string[] | null;
  readonly maxTokens: number;
  /** Of the compiled graph. */
  readonly sha256: string;
  /** Bytes by what they are for; of memory, before any text is longer than there is room for. */
  readonly bytes: {
    readonly module: number;
    readonly code: number;
    readonly encoder: number;
    readonly embedding: number;
    readonly tokenizer: number;
    readonly arena: number;
    readonly memory: number;
  };
}

export interface Model {
  readonly card: Card;
  /** Which form of the code runs. Both give the same bits. */
  readonly variant: 'simd' | 'relaxed';
  /** What the module's memory has grown to. */
  memoryBytes(): number;
  /** Text as a string or as UTF-8, of any length. */
  classify(text: string | Uint8Array, pair?: string | Uint8Array): Answer;
  tokenize(text: string | Uint8Array, pair?: string | Uint8Array): Tokens;
  /** The raw integers of token ids, [CLS] and [SEP] included. */
  run(ids: ArrayLike<number>, segmentStart?: number): Int16Array;
}

export declare const card: Card;

export declare class ModelError extends Error {
  readonly code:
    | 'no-simd'
    | 'no-module'
    | 'damaged-module'
    | 'wrong-answer'
    | 'bad-token'
    | 'no-memory';
}

export declare function load(options?: LoadOptions): Promise<Model>;
