/** `--cache` of `lm2mcu build`. */
import { userError } from '../errors.ts';
import {
  type CachePolicy,
  cacheForms,
  cacheNumbers,
  cachePolicySchema,
  cacheText,
} from '../passes/cache-policy.ts';

export function parseCache(text: string): CachePolicy {
  const [kind = '', own = '', ...rest] = text.split(/[:,]/);
  const names = Object.hasOwn(cacheNumbers, kind) ? cacheNumbers[kind as CachePolicy['kind']] : [];
  const pairs = [names[0] ?? '', own, ...rest];
  const values = Object.fromEntries(
    names.map((name, index) => [
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
