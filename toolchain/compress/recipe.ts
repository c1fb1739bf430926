/**
 * A recipe: what a search over compression found for one model, to be followed by `build --recipe`.
 *
 * Names are those of the imported graph's constants, rows of tables stand in the order of the
 * vocabulary. Arrays are the recipe; how they were found is told in `provenance`, which no build reads.
 */
import type { CodedTable } from './coded-table.ts';

export interface Recipe {
  /** `sha256` of the model card: a recipe holds for one model only. */
  readonly modelSha256: string;
  /** Embedding tables, by tensor. */
  readonly tables: Readonly<Record<string, CodedTable>>;
  /** Weights of linears, by tensor. */
  readonly weights: Readonly<Record<string, CodedWeight>>;
  /** Other constants that were trained anew (biases, norms), by tensor. */
  readonly constants: Readonly<Record<string, Float32Array>>;
  /** Vocabulary ids, ascending, whose texts fall apart into their pieces. */
  readonly droppedTokens: Int32Array;
  readonly provenance: Provenance;
}

/** w_ij = scales_i · codes_ij, i the output. */
export interface CodedWeight {
  readonly bits: 4 | 8;
  /** (outputs, inputs); with 4 bits −7 … 7. */
  readonly codes: Int8Array;
  /** One a row. */
  readonly scales: Float32Array;
}

/** Method, command, digest of the data, measured losses: whatever the search has to say. */
export type Provenance = { readonly [key: string]: PlainJson };
export type PlainJson =
  | null
  | boolean
  | number
  | string
  | readonly PlainJson[]
  | { readonly [key: string]: PlainJson };
