/** A plan in words: reports, tables and messages print plans in this one way. */
import type { Plan } from './plan.ts';

export function planText({ headGroups, tileRows, recomputeInputs }: Plan): string {
  return [
    headGroups === 1 ? 'all heads at once' : `${headGroups} head groups`,
    `tiles of ${tileRows} ${tileRows === 1 ? 'row' : 'rows'}`,
    ...(recomputeInputs ? ['embedded tokens made again'] : []),
  ].join(', ');
}
