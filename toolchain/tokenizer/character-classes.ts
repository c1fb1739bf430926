/** Classes of characters as runs, for the device (`kernels/c/runs.h`). */

export interface CharacterClasses {
  /** First run of each plane of 65,536 code points, and the end. */
  readonly planes: Uint16Array;
  /** Low 16 bits of the first code point of a run. */
  readonly runStarts: Uint16Array;
  readonly runClasses: Uint8Array;
}

export function compileClasses(classOf: (codePoint: number) => number): CharacterClasses {
  const planeCount = 17;
  const planeSize = 0x1_0000;
  const starts: number[] = [];
  const classes: number[] = [];
  const planes: number[] = [];
  for (let plane = 0; plane < planeCount; plane++) {
    planes.push(starts.length);
    for (let low = 0; low < planeSize; low++) {
      const one = classOf(plane * planeSize + low);
      if (low > 0 && one === classes.at(-1)) continue;
      starts.push(low);
      classes.push(one);
    }
  }
  planes.push(starts.length);
  return {
    planes: Uint16Array.from(planes),
    runStarts: Uint16Array.from(starts),
    runClasses: Uint8Array.from(classes),
  };
}
