/** `--cache` of `lm2mcu build`, as text: a policy's kind, then its numbers by name. */
import { userError } from '../errors.ts';
import { type CachePolicy, cachePolicySchema } from '../passes/limit-cache.ts';

/** By kind, its numbers in the order in which they are written; the kind's own is the first. */
const numbersOf: { readonly [K in CachePolicy['kind']]: readonly string[] } = {
  full: [],
  window: ['window', 'sinks'],
};

export const cacheForms = Object.entries(numbersOf)
  .map(([kind, names]) =>
    textOf(
      kind,
      names.map((name) => [name, 'N']),
    ),
  )
  .join(' | ');

function textOf(kind: string, values: readonly (readonly [name: string, value: string])[]): string {
  const words = values.map(([name, value], index) => (index === 0 ? value : `${name}:${value}`));
  return words.length === 0 ? kind : `${kind}:${words.join(',')}`;
}

/** As `parseCache` reads it. */
export function cacheText(policy: CachePolicy): string {
  const values = policy as unknown as Readonly<Record<string, number>>;
  return textOf(
    policy.kind,
    numbersOf[policy.kind].map((name) => [name, String(values[name])]),
  );
}

export function parseCache(text: string): CachePolicy {
  const [kind = '', own = '', ...rest] = text.split(/[:,]/);
  const names = Object.hasOwn(numbersOf, kind) ? numbersOf[kind as CachePolicy['kind']] : undefined;
  const pairs = [names?.[0] ?? '', own, ...rest];
  const values = Object.fromEntries(
    (names ?? []).map((name, index) => [
      name,
      pairs[2 * index] === name ? wholeNumber(pairs[2 * index + 1]) : undefined,
    ]),
  );
  const parsed = cachePolicySchema.safeParse({ kind, ...values });
  if (parsed.success && cacheText(parsed.data) === text) return parsed.data;
  throw userError({
    code: 'bad-cache',
    message: `--cache ${JSON.stringify(text)} is no cache policy`,
    hint: `Use one of: ${cacheForms}`,
  });
}

function wholeNumber(text: string | undefined): number | undefined {
  return text !== undefined && /^\d{1,6}$/.test(text) ? Number(text) : undefined;
}
