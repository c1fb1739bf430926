/** What a decoder's cache keeps of the tokens before: policies as data, and as text. */
import { z } from 'zod';
import { assertExhaustive } from '../errors.ts';

const count = z.int().min(1);

export const cachePolicySchema = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('full') }),
  /** The first `sinks` tokens and the newest `window`. */
  z.strictObject({ kind: z.literal('window'), window: count, sinks: z.int().min(0) }),
  /** The newest `recent` tokens, and of those before the `heavy` that most was looked at. */
  z.strictObject({ kind: z.literal('heavy'), heavy: count, recent: count }),
  /** The same by what the last `steps` tokens looked at. */
  z.strictObject({ kind: z.literal('local-sum'), heavy: count, recent: count, steps: count }),
]);

/** What a decoder's cache keeps of the tokens before. */
export type CachePolicy = Readonly<z.infer<typeof cachePolicySchema>>;

export const fullCache: CachePolicy = { kind: 'full' };

/** Rows of each layer's keys and values; infinite where nothing is lost. */
export function cacheRows(policy: CachePolicy): number {
  switch (policy.kind) {
    case 'full':
      return Number.POSITIVE_INFINITY;
    case 'window':
      return policy.window + policy.sinks;
    case 'heavy':
    case 'local-sum':
      return policy.heavy + policy.recent;
    default:
      return assertExhaustive(policy);
  }
}

/** What a user should know of how a prompt is computed; null: nothing. */
export function promptNote(policy: CachePolicy): string | null {
  switch (policy.kind) {
    case 'full':
      return null;
    case 'window':
      return `Attention of a prompt goes token by token, not in tiles, where more than the ${cacheRows(policy)} tokens of the cache have come.`;
    case 'heavy':
    case 'local-sum':
      return `Attention goes token by token, in a prompt too, with --cache ${policy.kind}.`;
    default:
      return assertExhaustive(policy);
  }
}

/** Whether no key is ever further from its query than the cache has rows. */
export function keepsDistances(policy: CachePolicy): boolean {
  return policy.kind === 'window' && policy.sinks === 0;
}

/** By kind, its numbers in the order in which they are written; the kind's own is the first. */
export const cacheNumbers: { readonly [K in CachePolicy['kind']]: readonly string[] } = {
  full: [],
  window: ['window', 'sinks'],
  heavy: ['heavy', 'recent'],
  'local-sum': ['heavy', 'recent', 'steps'],
};

/** Has a usual value. */
export const optionalNumber = 'sinks';

export const cacheForms = Object.entries(cacheNumbers)
  .map(([kind, names]) =>
    textOf(
      kind,
      names.map((name) => [name, 'N']),
    ).replace(`,${optionalNumber}:N`, `[,${optionalNumber}:N]`),
  )
  .join(' | ');

function textOf(kind: string, values: readonly (readonly [name: string, value: string])[]): string {
  const words = values.map(([name, value], index) => (index === 0 ? value : `${name}:${value}`));
  return words.length === 0 ? kind : `${kind}:${words.join(',')}`;
}

/** As `--cache` takes it. */
export function cacheText(policy: CachePolicy): string {
  const values = policy as unknown as Readonly<Record<string, number>>;
  return textOf(
    policy.kind,
    cacheNumbers[policy.kind].map((name) => [name, String(values[name])]),
  );
}
