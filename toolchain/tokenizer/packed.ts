/** Reads the tables of `unicode-tables.ts`, packed in base 36. */

/** The first code point of each of the ranges, written `gap+length`, and the first behind it. */
export function rangeEdges(text: string): readonly number[] {
  const edges: number[] = [];
  let end = 0;
  for (const pair of text.trim().split(/\s/)) {
    const [gap, length] = pair.split('+').map((digits) => Number.parseInt(digits, 36));
    edges.push(end + gap!, end + gap! + length!);
    end += gap! + length!;
  }
  return edges;
}

/** Whether a code point lies in the ranges. */
export function rangeTest(text: string): (codePoint: number) => boolean {
  const edges = rangeEdges(text);
  // An odd number of edges at or below the code point: inside a range.
  return (codePoint) => {
    let low = 0;
    let high = edges.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (edges[middle]! <= codePoint) low = middle + 1;
      else high = middle;
    }
    return low % 2 === 1;
  };
}

/** All code points of the ranges. */
export function parseRanges(text: string): readonly number[] {
  let end = 0;
  return text
    .trim()
    .split(/\s/)
    .flatMap((pair) => {
      const [gap, length] = pair.split('+').map((digits) => Number.parseInt(digits, 36));
      const start = end + gap!;
      end = start + length!;
      return Array.from({ length: length! }, (_, i) => start + i);
    });
}

/** What code points become, written `gap:target,target`. */
export function parseMap(text: string): ReadonlyMap<number, readonly number[]> {
  const map = new Map<number, readonly number[]>();
  let codePoint = 0;
  for (const entry of text.trim().split(/\s/)) {
    const [gap, values] = entry.split(':');
    codePoint += Number.parseInt(gap!, 36);
    const digits = values === '' ? [] : values!.split(',');
    map.set(
      codePoint,
      digits.map((value) => Number.parseInt(value, 36)),
    );
  }
  return map;
}
