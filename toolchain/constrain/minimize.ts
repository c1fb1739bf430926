/**
 * The smallest deterministic automaton that does the same: Hopcroft's partition refinement in the form
 * of Valmari, "Fast brief practical DFA minimization" (2012), in O(edges · log edges), for automata in
 * which edges may be missing.
 */

export interface Edges {
  readonly states: number;
  readonly tails: Int32Array;
  readonly labels: Int32Array;
  readonly heads: Int32Array;
}

/**
 * The block of each state; states of a block do the same. `classOf`: what tells states from each other
 * beside their edges. Every state must lead to an accepting one.
 */
export function blocksOf({ states, tails, labels, heads }: Edges, classOf: Int32Array): Int32Array {
  const blocks = newPartition(states);
  const cords = newPartition(tails.length);
  blocks.splitBy((state) => classOf[state]!);
  cords.splitBy((edge) => labels[edge]!);
  const into = edgesInto(states, heads);
  // Each set of edges splits the blocks that they come from; each new block splits the sets of edges.
  for (let cord = 0, block = 1; cord < cords.count(); cord++) {
    for (const edge of cords.members(cord)) blocks.mark(tails[edge]!);
    blocks.split();
    for (; block < blocks.count(); block++) {
      for (const state of blocks.members(block)) {
        for (let i = into.starts[state]!; i < into.starts[state + 1]!; i++) {
          cords.mark(into.edges[i]!);
        }
      }
      cords.split();
    }
  }
  return blocks.setOf;
}

/** Sets of numbers that are split by marking some of their members. */
function newPartition(size: number) {
  const elements = Int32Array.from({ length: size }, (_, index) => index);
  const place = Int32Array.from(elements);
  const setOf = new Int32Array(size);
  const firsts = [0];
  const ends = [size];
  const marked = [0];
  const touched: number[] = [];

  const mark = (element: number): void => {
    const set = setOf[element]!;
    const at = place[element]!;
    const to = firsts[set]! + marked[set]!;
    if (at < to) return;
    const other = elements[to]!;
    elements[at] = other;
    place[other] = at;
    elements[to] = element;
    place[element] = to;
    if (marked[set] === 0) touched.push(set);
    marked[set]! += 1;
  };
  /** The smaller part of each touched set, marked or not, becomes a set of its own. */
  const split = (): void => {
    for (const set of touched.splice(0)) {
      const [first, end] = [firsts[set]!, ends[set]!];
      const middle = first + marked[set]!;
      marked[set] = 0;
      if (middle === end) continue;
      const isFirstSmaller = middle - first <= end - middle;
      const [from, to] = isFirstSmaller ? [first, middle] : [middle, end];
      if (isFirstSmaller) firsts[set] = middle;
      else ends[set] = middle;
      for (let i = from; i < to; i++) setOf[elements[i]!] = firsts.length;
      firsts.push(from);
      ends.push(to);
      marked.push(0);
    }
  };
  return {
    setOf,
    mark,
    split,
    count: () => (size === 0 ? 0 : firsts.length),
    members: (set: number) => elements.slice(firsts[set]!, ends[set]!),
    splitBy(keyOf: (element: number) => number): void {
      const sorted = elements.slice().sort((a, b) => keyOf(a) - keyOf(b));
      for (const [at, element] of sorted.entries()) {
        elements[at] = element;
        place[element] = at;
        setOf[element] = firsts.length - 1;
        if (at + 1 === size || keyOf(sorted[at + 1]!) === keyOf(element)) continue;
        ends[firsts.length - 1] = at + 1;
        firsts.push(at + 1);
        ends.push(size);
        marked.push(0);
      }
    },
  };
}

function edgesInto(states: number, heads: Int32Array) {
  const starts = new Int32Array(states + 1);
  for (const head of heads) starts[head + 1]! += 1;
  for (let state = 0; state < states; state++) starts[state + 1]! += starts[state]!;
  const next = starts.slice(0, -1);
  const edges = new Int32Array(heads.length);
  for (const [edge, head] of heads.entries()) edges[next[head]!++] = edge;
  return { starts, edges };
}
