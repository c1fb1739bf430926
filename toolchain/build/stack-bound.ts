/**
 * How deep the stack can get, from the call graphs gcc writes with -fcallgraph-info=su.
 *
 * The bound is the deepest path from Reset_Handler, plus one exception frame and the deepest path
 * from an interrupt handler. The fault handler starts over at the top of the stack (startup.c), so
 * its path stands beside that sum, not on top. Calls through pointers, recursion, variable-length
 * arrays and functions of unknown depth have no bound and are errors.
 */
import { environmentError, userError } from '../errors.ts';
import { roundUp } from '../integers.ts';

export interface StackBound {
  readonly bytes: number;
  /** The functions of the deepest path from Reset_Handler, with the bytes each takes. */
  readonly path: readonly { readonly name: string; readonly bytes: number }[];
}

interface CallGraph {
  /** Stack bytes of each function that has a body; undefined: grows at run time. */
  readonly frames: ReadonlyMap<string, number | undefined>;
  readonly calls: ReadonlyMap<string, ReadonlySet<string>>;
}

interface Path {
  readonly bytes: number;
  readonly names: readonly string[];
}

/**
 * Depth of compiler support routines, which come without call graphs. Read off the pushes in
 * `arm-none-eabi-objdump -d libgcc.a` of gcc 12.2, all Cortex-M variants alike.
 */
const libraryFrames: ReadonlyMap<string, number> = new Map([
  ['__aeabi_uldivmod', 64],
  ['__aeabi_ldivmod', 64],
]);

/** `interrupts`: handlers that return. `callGraphs`: the text of every .ci file. */
export function stackBound(
  callGraphs: readonly string[],
  interrupts: readonly string[],
  exceptionFrameBytes: number,
): StackBound {
  const graph = parseCallGraphs(callGraphs);
  const known = new Map<string, Path>();
  const depth = (name: string) => deepestPath(graph, name, [], known);
  const main = depth('Reset_Handler');
  const interrupt = Math.max(
    0,
    ...interrupts.map((name) => exceptionFrameBytes + depth(name).bytes),
  );
  const fault = graph.frames.has('fault_stop') ? depth('fault_stop').bytes : 0;
  return {
    bytes: roundUp(Math.max(main.bytes + interrupt, fault), 8), // AAPCS: 8-byte aligned
    path: main.names.map((name) => ({ name, bytes: frameBytes(graph, name, []) })),
  };
}

function deepestPath(
  graph: CallGraph,
  name: string,
  callers: readonly string[],
  known: Map<string, Path>,
): Path {
  const seen = known.get(name);
  if (seen !== undefined) return seen;
  if (callers.includes(name)) {
    throw unbounded(`${name} calls itself`, [...callers, name]);
  }
  const own = frameBytes(graph, name, callers);
  let deepest: Path = { bytes: 0, names: [] };
  for (const callee of graph.calls.get(name) ?? []) {
    const path = deepestPath(graph, callee, [...callers, name], known);
    if (path.bytes > deepest.bytes) deepest = path;
  }
  const result = { bytes: own + deepest.bytes, names: [name, ...deepest.names] };
  known.set(name, result);
  return result;
}

function frameBytes(graph: CallGraph, name: string, callers: readonly string[]): number {
  if (name === '__indirect_call') {
    throw unbounded(`${callers.at(-1)} calls through a pointer`, callers);
  }
  if (!graph.frames.has(name)) {
    const library = libraryFrames.get(name);
    if (library !== undefined) return library;
    throw unknownFunction(name, callers);
  }
  const bytes = graph.frames.get(name);
  if (bytes === undefined) throw unbounded(`${name} has a stack frame of variable size`, callers);
  return bytes;
}

function unbounded(what: string, callers: readonly string[]): Error {
  return userError({
    code: 'unbounded-stack',
    message: `the stack has no bound: ${what}`,
    where: callers.join(' > '),
    hint: 'Firmware code calls functions by name, without recursion or variable-length arrays.',
  });
}

/** Kernels call only each other: the compiler put the call there. */
function unknownFunction(name: string, callers: readonly string[]): Error {
  return environmentError({
    code: 'unknown-library-function',
    message: `the stack has no known bound: ${callers.at(-1)} calls ${name} of the compiler's own library, which has no call graph`,
    where: callers.join(' > '),
    hint: 'lm2mcu is tested with arm-none-eabi-gcc 12.2, which does not call it: take that version.',
  });
}

/**
 * The text is VCG, one node or edge a line. A node's label holds name, place and `N bytes (static)`;
 * static functions are titled `file.c:name`.
 */
function parseCallGraphs(texts: readonly string[]): CallGraph {
  const frames = new Map<string, number | undefined>();
  const calls = new Map<string, Set<string>>();
  for (const line of texts.flatMap((text) => text.split('\n'))) {
    const node = /^node: \{ title: "(.*?)" label: ".*\\n(\d+) bytes \((.*?)\)/.exec(line);
    if (node?.[1] !== undefined) {
      const isBounded = node[3] === 'static' || node[3] === 'dynamic,bounded';
      frames.set(node[1], isBounded ? Number(node[2]) : undefined);
    }
    const edge = /^edge: \{ sourcename: "(.*?)" targetname: "(.*?)"/.exec(line);
    if (edge?.[1] !== undefined && edge[2] !== undefined) {
      const callees = calls.get(edge[1]) ?? new Set();
      calls.set(edge[1], callees.add(edge[2]));
    }
  }
  return { frames, calls };
}
