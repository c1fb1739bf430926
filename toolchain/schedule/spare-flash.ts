/**
 * Spends flash that a model leaves over on speed: kernels that need `spare-flash` read weights that take
 * half as many bytes again, for fewer instructions a multiply-accumulate. Only for models that generate:
 * they read every weight once a token, one row at a time, as these kernels take them. A model that a
 * recipe made smaller stays so.
 *
 * The flash must be internal, no slower than the bytes are worth, and hold all of the model with room
 * to spare: the link, which decides, must not fail for what is a luxury.
 */
import type { Target } from '../targets.ts';
import { type ConstantSizes, codeReserveBytes, constantParts } from './placement.ts';
import type { PlanGoal } from './plan.ts';
import { keepsState, type Program } from './program.ts';

/** Above it, waiting for the bytes takes what the instructions save. */
const slowestCyclesPerWord = 2;
/** What stays free beside the bound of the code. */
const marginBytes = codeReserveBytes;

/** The target with kernels that flash is spent on; null where there are none, or they are not wanted. */
export function withSpareFlash(target: Target, program: Program, goal: PlanGoal): Target | null {
  const { core } = target;
  const hasKernels = core.features.includes('dsp') && !core.features.includes('mve');
  const isForeign = core.features.includes('cmsis-nn');
  if (!keepsState(program) || goal === 'smallest' || !hasKernels || isForeign) return null;
  return { ...target, core: { ...core, features: [...core.features, 'spare-flash'] } };
}

/** Whether the target's internal flash has room for constants of these sizes, and some to spare. */
export function isSpare({ regions, codeRegion }: Target, sizes: ConstantSizes): boolean {
  const code = regions.find(({ name }) => name === codeRegion)!;
  const bytes = constantParts.reduce((sum, part) => sum + sizes[part], 0);
  const isQuick = !code.codeOnly && code.readCyclesPerWord <= slowestCyclesPerWord;
  return isQuick && bytes + codeReserveBytes + marginBytes <= code.sizeBytes;
}

export function spareFlashNote(bytes: number): string {
  const spent = `${bytes.toLocaleString('en-US')} B of flash that were left over are spent on speed`;
  return `${spent}: weights of linears take 1.5 bytes each. --plan smallest keeps them at one.`;
}
