/** `--cache` of `lm2mcu build`. */
import { userError } from '../errors.ts';
import {
  type CachePolicy,
  cacheForms,
  cacheNumbers,
  cachePolicySchema,
  cacheText,
  optionalNumber,
} from '../passes/cache-policy.ts';
import { didYouMean } from './suggest.ts';

/** Where a window is given alone: what StreamingLLM found enough. */
const withoutSinks = /^window:\d+$/;
const usualSinks = `,${optionalNumber}:4`;

export function parseCache(text: string): CachePolicy {
  const whole = withoutSinks.test(text) ? text + usualSinks : text;
  const [kind = '', own = '', ...rest] = whole.split(/[:,]/);
  if (!Object.hasOwn(cacheNumbers, kind)) {
    throw badCache(text, `there is no ${quote(kind)}`, didYouMean(kind, Object.keys(cacheNumbers)));
  }
  const names = cacheNumbers[kind as CachePolicy['kind']];
  const pairs = [names[0] ?? '', own, ...rest];
  const given = Array.from({ length: Math.ceil(pairs.length / 2) }, (_, index) => ({
    name: pairs[2 * index]!,
    value: pairs[2 * index + 1] ?? '',
  }));
  const values = Object.fromEntries(given.map(({ name, value }) => [name, wholeNumber(value)]));
  const parsed = cachePolicySchema.safeParse({
    kind,
    ...Object.fromEntries(names.map((name) => [name, values[name]])),
  });
  if (parsed.success && cacheText(parsed.data) === whole) return parsed.data;

  const others = names.slice(1);
  const unknown = given.slice(1).find(({ name }) => !others.includes(name));
  if (unknown !== undefined) {
    const problem = `${kind} has no ${quote(unknown.name)}`;
    throw badCache(text, problem, didYouMean(unknown.name, others));
  }
  const isGiven = (name: string) => given.some((one) => one.name === name && one.value !== '');
  const missing = names.filter((name) => name !== optionalNumber && !isGiven(name));
  if (missing.length > 0) {
    const parts = missing.map((name) => (name === names[0] ? 'its number' : name));
    throw badCache(text, `it lacks ${parts.join(' and ')}`);
  }
  const [issue] = parsed.error?.issues ?? [];
  const name = String(issue?.path[0]);
  if (issue?.code === 'too_small') throw badCache(text, `${name} must be ${issue.minimum} or more`);
  if (issue !== undefined) throw badCache(text, `${name} must be a whole number below 1,000,000`);
  throw badCache(text, null);
}

function wholeNumber(text: string): number | undefined {
  return /^-?\d{1,6}$/.test(text) ? Number(text) : undefined;
}

const quote = (text: string): string => JSON.stringify(text);

function badCache(text: string, problem: string | null, suggestion = '') {
  return userError({
    code: 'bad-cache',
    message: `--cache ${quote(text)} is no cache policy${problem === null ? '' : `: ${problem}`}`,
    hint: `${suggestion}Use one of: ${cacheForms}`,
  });
}
