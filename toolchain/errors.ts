/**
 * Everything that can go wrong, as data with one printer.
 *
 * `user`: bad model, bad flag, does not fit (exit code 1). `environment`: missing compiler, emulator
 * or port (exit code 2). `internal`: our bug (exit code 3). A message says what, where, how much
 * and what to do next; each has a golden test.
 */
export type ErrorKind = 'user' | 'environment' | 'internal';

export interface ErrorDetails {
  /** Stable, kebab-case, e.g. `does-not-fit`, `bad-safetensors`, `unknown-target`. */
  readonly code: string;
  readonly message: string;
  /** File, layer, tensor, region or byte offset. */
  readonly where?: string;
  readonly neededBytes?: number;
  readonly availableBytes?: number;
  /** What the user can do next. */
  readonly hint?: string;
  /** Of a model that is understood in part: what became of each of the user's layers. */
  readonly layers?: readonly LayerOutcome[];
}

export type LayerOutcome = { readonly name: string } & (
  | { readonly outcome: 'mapped'; readonly becomes: readonly string[] }
  | { readonly outcome: 'unsupported'; readonly problem: string }
  /** It may well be supported, but reads what is not. */
  | { readonly outcome: 'behind-unsupported' }
);

export class Lm2mcuError extends Error {
  readonly kind: ErrorKind;
  readonly details: ErrorDetails;

  constructor(kind: ErrorKind, details: ErrorDetails, options?: ErrorOptions) {
    super(details.message, options);
    this.name = 'Lm2mcuError';
    this.kind = kind;
    this.details = details;
  }
}

export function userError(details: ErrorDetails): Lm2mcuError {
  return new Lm2mcuError('user', details);
}

export function environmentError(details: ErrorDetails): Lm2mcuError {
  return new Lm2mcuError('environment', details);
}

/** A broken invariant of ours; `where` names the pass, op or tensor. */
export function internalError(message: string, where?: string): Lm2mcuError {
  const hint = 'This is a bug in lm2mcu: please report it with the command and the model.';
  return new Lm2mcuError('internal', {
    code: 'internal',
    message,
    ...(where === undefined ? {} : { where }),
    hint,
  });
}

export const exitCodes = { user: 1, environment: 2, internal: 3 } as const satisfies Record<
  ErrorKind,
  number
>;

/** For `switch` statements over a union: a type error when a variant is not handled. */
export function assertExhaustive(value: never): never {
  throw internalError(`unhandled variant ${JSON.stringify(value)}`);
}

/** The text form of an error: the message, then where, how much and the hint, a line each. */
export function formatError(details: ErrorDetails): string {
  const lines = [`error: ${details.message}`];
  if (details.where !== undefined) lines.push(`  where: ${details.where}`);
  if (details.neededBytes !== undefined) {
    const available =
      details.availableBytes === undefined
        ? ''
        : `, available: ${formatBytes(details.availableBytes)}`;
    lines.push(`  needed: ${formatBytes(details.neededBytes)}${available}`);
  }
  if (details.hint !== undefined) lines.push(`  hint: ${details.hint}`);
  return lines.join('\n');
}

/** `1234567` as `1,234,567 B`. */
export function formatBytes(bytes: number): string {
  return `${bytes.toLocaleString('en-US')} B`;
}
