/** How far a mean over texts may be off: the bootstrap (Efron 1979), with a fixed seed. */
import { seededRandom } from './random.ts';

export type Interval = readonly [low: number, high: number];

const resamples = 2000;

/** The middle 95 % of the means of resamples; paired, where a value is a difference on one text. */
export function bootstrapInterval(values: readonly number[]): Interval {
  const random = seededRandom(1);
  const means = Array.from({ length: resamples }, () => {
    let sum = 0;
    for (let count = 0; count < values.length; count++) {
      sum += values[Math.floor(random() * values.length)]!;
    }
    return sum / values.length;
  }).sort((a, b) => a - b);
  return [means[Math.floor(resamples * 0.025)]!, means[Math.ceil(resamples * 0.975) - 1]!];
}
