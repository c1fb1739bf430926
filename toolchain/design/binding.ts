/**
 * Why no decoder keeps to all limits: those that would have to give way, each with the least that it
 * could be while all others hold.
 */
import { type Lm2mcuError, userError } from '../errors.ts';
import { matricesInSeries } from './entropy.ts';
import { solveExactly } from './exact.ts';
import { type DesignProgram, type LimitName, type Limits, limitNames, measure } from './program.ts';

export interface Binding {
  readonly name: LimitName;
  /** The least with the other limits kept, or, where that helps nothing, without them; of depth to width the least of all. */
  readonly least: number;
  readonly limit: number;
  /** Whether it is enough to raise this one. */
  readonly isAlone: boolean;
}

const secondsEach = 30;

export async function bindingLimits(program: DesignProgram): Promise<readonly Binding[]> {
  const limited = limitNames.filter((name) => Number.isFinite(program.limits[name]));
  const leastOf = async (name: LimitName, limits: Limits): Promise<number> => {
    if (name === 'depthToWidth') return leastDepth(program, limits);
    const solved = await solveExactly({
      program,
      goal: { least: name },
      limits,
      seconds: secondsEach,
    });
    return solved.kind === 'solved' ? measure(program, solved.chosen)[name] : Infinity;
  };
  const alone: Binding[] = [];
  const together: Binding[] = [];
  for (const name of limited) {
    const limit = program.limits[name];
    const kept = await leastOf(name, { ...program.limits, [name]: Infinity });
    if (Number.isFinite(kept)) alone.push({ name, least: kept, limit, isAlone: true });
    const least = await leastOf(name, unlimited);
    if (least > limit) together.push({ name, least, limit, isAlone: false });
  }
  return alone.length > 0 ? alone : together;
}

/** Of one layer of the widest: whatever else is limited, none has less. */
async function leastDepth(program: DesignProgram, limits: Limits): Promise<number> {
  const goal = { least: 'flashBytes' } as const;
  const solved = await solveExactly({ program, goal, limits, seconds: secondsEach });
  return solved.kind === 'solved' ? matricesInSeries / Math.max(...program.space.widths) : Infinity;
}

const unlimited: Limits = {
  flashBytes: Infinity,
  sramBytes: Infinity,
  cycles: Infinity,
  parameters: Infinity,
  depthToWidth: Infinity,
};

/** The message of an infeasible budget. */
export function infeasible(
  bindings: readonly Binding[],
  where: string,
  clockHz: number,
): Lm2mcuError {
  const list = bindings.map((binding) => `\n    ${sentenceOf(binding, clockHz)}`).join('');
  const [first] = bindings;
  const bytes =
    bindings.length === 1 && (first!.name === 'flashBytes' || first!.name === 'sramBytes')
      ? { neededBytes: first!.least, availableBytes: first!.limit }
      : {};
  return userError({
    code: 'no-design',
    message:
      bindings.length === 0
        ? 'no decoder of the search space keeps to all limits together'
        : `no decoder keeps to the limits; ${reasonOf(bindings)}:${list}`,
    where,
    ...bytes,
    hint: [...new Set(bindings.map(({ name }) => hints[name])), otherwise].join(' '),
  });
}

function reasonOf(bindings: readonly Binding[]): string {
  if (!bindings[0]!.isAlone) return 'each of these is out of reach';
  return bindings.length === 1 ? 'this one binds' : 'raising one of these would do';
}

function sentenceOf({ name, least, limit }: Binding, clockHz: number): string {
  const whole = (value: number): string => Math.ceil(value).toLocaleString('en-US');
  switch (name) {
    case 'flashBytes':
      return `flash: at least ${whole(least)} B are needed, ${whole(limit)} B are there`;
    case 'sramBytes':
      return `SRAM: at least ${whole(least)} B are needed, ${whole(limit)} B are there`;
    case 'cycles':
      return `time: at most ${rate(clockHz / least)} tokens a second are possible, ${rate(clockHz / limit)} are asked for`;
    case 'parameters':
      return `parameters: at least ${whole(least)} are needed, ${whole(limit)} are allowed`;
    case 'depthToWidth':
      return `depth to width: ${limit} is allowed, one layer of the widest has ${least}`;
  }
}

function rate(tokensPerSecond: number): string {
  return tokensPerSecond.toLocaleString('en-US', { maximumSignificantDigits: 3 });
}

const hints: Readonly<Record<LimitName, string>> = {
  flashBytes: 'For less flash: a smaller --vocab, or --weights int4.',
  sramBytes: 'For less SRAM: a shorter --context.',
  cycles: 'For more speed: a shorter --context, a smaller --vocab.',
  parameters: 'For fewer parameters: a smaller --vocab.',
  depthToWidth: 'For deeper ones: a larger --max-depth-to-width.',
};
const otherwise = 'Or use another --target (see lm2mcu targets).';
