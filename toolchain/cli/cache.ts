/** `--cache` of `lm2mcu build`. */
import { userError } from '../errors.ts';
import {
  type CachePolicy,
  cacheForms,
  cacheNumbers,
  cachePolicySchema,
  cacheText,
} from '../passes/cache-policy.ts';

/** Where a window is given alone: what StreamingLLM found enough. */
const withoutSinks = /^window:\d+$/;
const usualSinks = ',sinks:4';

export function parseCache(text: string): CachePolicy {
  const whole = withoutSinks.test(text) ? text + usualSinks : text;
  const [kind = '', own = '', ...rest] = whole.split(/[:,]/);
  const names = Object.hasOwn(cacheNumbers, kind) ? cacheNumbers[kind as CachePolicy['kind']] : [];
  const pairs = [names[0] ?? '', own, ...rest];
  const values = Object.fromEntries(
    names.map((name, index) => [
      name,
      pairs[2 * index] === name ? wholeNumber(pairs[2 * index + 1]) : undefined,
    ]),
  );
  const parsed = cachePolicySchema.safeParse({ kind, ...values });
  if (parsed.success && cacheText(parsed.data) === whole) return parsed.data;
  const missing = names.filter(
    (_, index) => index >= pairs.length / 2 || pairs[2 * index + 1] === '',
  );
  throw userError({
    code: 'bad-cache',
    message: `--cache ${JSON.stringify(text)} is no cache policy${missing.length === 0 ? '' : `: it lacks ${missing.join(' and ')}`}`,
    hint: `Use one of: ${cacheForms}`,
  });
}

function wholeNumber(text: string | undefined): number | undefined {
  return text !== undefined && /^\d{1,6}$/.test(text) ? Number(text) : undefined;
}
