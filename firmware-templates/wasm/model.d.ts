/** A model compiled by lm2mcu: text in, label or text out, nothing else needed but model.wasm beside this. */

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

/** Text, UTF-8, or token ids as `tokenize` gives them. */
export type Prompt = string | Uint8Array | { readonly ids: ArrayLike<number> };

export interface GenerateOptions {
  /** The most tokens behind the prompt; 64. */
  readonly maxNew?: number;
  /** 0, where there is none: always the likeliest token; 1: each as often as the model says. */
  readonly temperature?: number;
  /** Only the so many likeliest tokens; 0, where there is none: all. */
  readonly topK?: number;
  /** Only the likeliest tokens that together have this share, at most 1. */
  readonly topP?: number;
  /** Of the random choices, 0 to 2^32 − 1: the same seed gives the same text on every machine. */
  readonly seed?: number;
  /** Called with each piece of the text as it comes; characters come whole. */
  readonly onToken?: (piece: string) => void;
  /** Ends it after the token that is being computed. */
  readonly signal?: AbortSignal;
}

export interface Generated {
  /** What was generated, without the prompt. */
  readonly text: string;
  /** The same as token ids, an end token included. */
  readonly ids: readonly number[];
  /** Of the prompt. */
  readonly tokens: number;
  /** The prompt was longer than the model takes, and its end did not count. */
  readonly truncated: boolean;
  /** `end`: the model ended the text; `context`: no more tokens have room. */
  readonly stopped: 'end' | 'length' | 'context' | 'cancelled';
  /** Whether the text is one that the build permits, where it says what texts may be. */
  readonly complete?: boolean;
}

export interface Card {
  readonly name: string;
  readonly kind: 'classification' | 'token-classification' | 'embedding' | 'generation';
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
  /** Text as a string or as UTF-8, of any length. Not of a model that generates. */
  classify(text: string | Uint8Array, pair?: string | Uint8Array): Answer;
  /** Only of a model that generates. Others may use the model meanwhile: between tokens it lets them. */
  generate(prompt: Prompt, options?: GenerateOptions): Promise<Generated>;
  tokenize(text: string | Uint8Array, pair?: string | Uint8Array): Tokens;
  /** The raw integers of token ids, [CLS] and [SEP] included. */
  run(ids: ArrayLike<number>, segmentStart?: number): Int16Array;
  /** Only of a model that generates: the raw logits behind every token, a row a token. */
  foresee(ids: ArrayLike<number>): Int16Array;
}

export declare const card: Card;

export declare class ModelError extends Error {
  readonly code:
    | 'no-simd'
    | 'no-module'
    | 'damaged-module'
    | 'wrong-answer'
    | 'wrong-kind'
    | 'bad-token'
    | 'bad-option'
    | 'no-memory';
}

export declare function load(options?: LoadOptions): Promise<Model>;
