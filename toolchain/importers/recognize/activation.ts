/**
 * Which of our element-wise functions a function is, told by its values: whichever way it was written
 * down, GELU is what agrees with GELU everywhere. Its integer form is a table of 256 values anyway.
 */
import { type ActivationKind, activationFunctions } from '../../ops/linear.ts';

const kinds = Object.keys(activationFunctions) as readonly ActivationKind[];

/** GELU and its tanh form differ by up to 4.7e-4; float16 constants in a formula by less than 4e-5. */
const tolerance = 1e-4;

const probes = Float64Array.from({ length: 257 }, (_, index) => (index - 128) / 16);

/** A number c: apply(x) = c·x. Null: none of ours. */
export function activationOf(apply: (x: number) => number): ActivationKind | number | null {
  const values = probes.map(apply);
  const isClose = (expected: (x: number) => number) =>
    values.every((value, index) => {
      const wanted = expected(probes[index]!);
      return Math.abs(value - wanted) <= tolerance * Math.max(1, Math.abs(wanted));
    });
  const factor = apply(1);
  if (factor !== 0 && isClose((x) => factor * x)) return factor;
  return kinds.find((kind) => isClose((x) => activationFunctions[kind](x))) ?? null;
}
