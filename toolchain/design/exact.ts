/** The program of `program.ts` solved to a proven gap, by HiGHS compiled to WebAssembly. */
import highsModule from 'highs';
import { internalError } from '../errors.ts';
import { type Goal, linearProgram, variableOf } from './linear-program.ts';
import type { DesignProgram, Limits, Option } from './program.ts';

// Its types describe the CommonJS build; what Node imports is the function itself.
const loadHighs = highsModule as unknown as typeof highsModule.default;

export type Solution =
  | { readonly kind: 'infeasible' }
  | {
      readonly kind: 'solved';
      readonly chosen: readonly Option[];
      /** No decoder is better than this. */
      readonly bound: number;
      /** Whether `chosen` is within `relativeGap` of it; else the time ran out. */
      readonly isProven: boolean;
    };

/** How far the solver's answer may be from the best there is. */
export const relativeGap = 1e-3;

export interface ExactRequest {
  readonly program: DesignProgram;
  readonly goal: Goal;
  /** Other limits than the program's. */
  readonly limits?: Limits;
  readonly seconds: number;
}

export async function solveExactly(request: ExactRequest): Promise<Solution> {
  const { program, goal, limits = program.limits, seconds } = request;
  const highs = await loadHighs();
  const { modelStatus } = highs.constants;
  const data = linearProgram(program, goal, limits);
  return highs.withModel({ format: 'lp', data }, (model): Solution => {
    model.options.set({
      output_flag: false,
      mip_rel_gap: relativeGap,
      time_limit: seconds,
      random_seed: 1,
    });
    model.run();
    const status = model.getModelStatus();
    if (status === modelStatus.infeasible) return { kind: 'infeasible' };
    const values = model.getSolution().colValue;
    const chosen = program.options.filter(
      (_, index) => (values[model.getColByName(variableOf(index))] ?? 0) > 0.5,
    );
    if (chosen.length === 0) throw internalError(`HiGHS ends with status ${status}`, 'design');
    const bound = Number(model.info.get('mip_dual_bound'));
    return { kind: 'solved', chosen, bound, isProven: status === modelStatus.optimal };
  });
}
