/** Which option of each part to take under a byte budget: the multiple-choice knapsack, solved exactly. */

export interface Option {
  readonly bytes: number;
  readonly loss: number;
}

export interface Allocation {
  /** Index of the option of each part. */
  readonly chosen: readonly number[];
  readonly bytes: number;
  readonly loss: number;
}

/** Bytes are counted in these units, rounded up: what it says fits, fits. */
const unitBytes = 256;

/**
 * All sums of one option a part that no other undercuts in both bytes and loss, by bytes: dynamic
 * programming over the parts, keeping the front of the partial sums at each step. Options may have
 * negative bytes.
 */
export function paretoAllocations(parts: readonly (readonly Option[])[]): readonly Allocation[] {
  let front: readonly Allocation[] = [{ chosen: [], bytes: 0, loss: 0 }];
  for (const options of parts) {
    const sums = front.flatMap(({ chosen, bytes, loss }) =>
      options.map((option, index) => ({
        chosen: [...chosen, index],
        bytes: bytes + Math.ceil(option.bytes / unitBytes) * unitBytes,
        loss: loss + option.loss,
      })),
    );
    front = paretoFront(sums);
  }
  return front;
}

/** Those that no other equals or undercuts in both, by bytes. */
export function paretoFront<T extends Option>(options: readonly T[]): readonly T[] {
  const front: T[] = [];
  for (const option of options.toSorted((a, b) => a.bytes - b.bytes || a.loss - b.loss)) {
    if (front.length === 0 || option.loss < front.at(-1)!.loss) front.push(option);
  }
  return front;
}
