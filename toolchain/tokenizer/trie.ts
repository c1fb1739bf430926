/**
 * The vocabulary as bytes for the device: a trie in preorder, its nodes coded one byte each.
 *
 * A node's label is a string of UTF-8 bytes. Each byte of the stream names one of 254 codes, pairs
 * of a label and a shape chosen for this vocabulary; a longer label is a chain of codes.
 *
 *     node  = [skip] code | [skip] 0 shape byte      a label that no code has, byte by byte
 *     skip  = 1 varint(bytes of the subtree) varint(tokens in the subtree)
 *     list  = node (its children: list, if `child`) ... until a node without `sibling`
 *
 * One walk forward finds the longest token that begins a text, and by counting the tokens it passes
 * also that token's number. The skips bound how much a walk reads. Likely children come first: by
 * Zipf's law a token has weight 1 / (id + 1), as training gives frequent tokens low ids.
 */

/** Bits of a node's shape; `kernels/c/tokenizer.c` has the same. */
export const shapeBits = { token: 1, child: 2, sibling: 4 } as const;

/** Codes of the stream with a meaning of their own; `kernels/c/tokenizer.c` has the same. */
export const streamCodes = { literal: 0, skip: 1, firstEntry: 2 } as const;

/** Subtrees of at least so many bytes are preceded by a skip; smaller ones are read through. */
const skipBytes = 32;
const codeCount = 256;
const longestLabel = 12;
const literalBytes = 3;

export interface TrieToken {
  readonly bytes: Uint8Array;
  readonly id: number;
}

export interface Trie {
  readonly stream: Uint8Array;
  /** Where each root's list starts in `stream`. */
  readonly offsets: readonly number[];
  /** The ids in the order of the numbers that walks yield, root after root. */
  readonly idOrder: readonly number[];
  /** Number of the first token of each root. */
  readonly firstNumbers: readonly number[];
  /** Per code `shape << 12 | offset of its label`; one more entry ends the last label. */
  readonly codes: Uint16Array;
  readonly labels: Uint8Array;
}

/** One trie per list of tokens, in one stream with one set of codes. */
export function compileTrie(roots: readonly (readonly TrieToken[])[]): Trie {
  const lists = roots.map(compressPaths);
  const dictionary = chooseCodes(lists.flatMap((list) => allNodes(list)));
  const stream: number[] = [];
  const offsets: number[] = [];
  const idOrder: number[] = [];
  const firstNumbers: number[] = [];
  for (const list of lists) {
    offsets.push(stream.length);
    firstNumbers.push(idOrder.length);
    for (const byte of writeList(list, dictionary)) stream.push(byte);
    // A root without tokens: a node that no text matches, for words have no NUL.
    if (list.length === 0) stream.push(streamCodes.literal, shapeBits.token, 0);
    idOrder.push(...allNodes(list).flatMap(({ id }) => (id === undefined ? [] : [id])));
  }
  return {
    stream: Uint8Array.from(stream),
    offsets,
    idOrder,
    firstNumbers,
    ...codeTables(dictionary),
  };
}

interface Node {
  /** Bytes as characters 0..255. */
  readonly label: string;
  readonly id: number | undefined;
  readonly children: readonly Node[];
  readonly hasSibling: boolean;
}

function compressPaths(tokens: readonly TrieToken[]): readonly Node[] {
  const items = tokens.map(({ bytes, id }) => ({ text: String.fromCharCode(...bytes), id }));
  items.sort((a, b) => (a.text < b.text ? -1 : 1));
  return children(0, items.length, 0).nodes;

  /** Nodes for the sorted items `from..to`, which share their first `depth` bytes. */
  function children(from: number, to: number, depth: number) {
    const found: { node: Omit<Node, 'hasSibling'>; weight: number }[] = [];
    for (let start = from; start < to; ) {
      const first = items[start]!;
      let end = start + 1;
      while (end < to && items[end]!.text[depth] === first.text[depth]) end++;
      const shared = commonLength(first.text, items[end - 1]!.text);
      const isToken = first.text.length === shared;
      const below = children(isToken ? start + 1 : start, end, shared);
      const id = isToken ? first.id : undefined;
      found.push({
        node: { label: first.text.slice(depth, shared), id, children: below.nodes },
        weight: below.weight + (id === undefined ? 0 : 1 / (id + 1)),
      });
      start = end;
    }
    found.sort((a, b) => b.weight - a.weight);
    return {
      nodes: found.map(({ node }, i): Node => ({ ...node, hasSibling: i < found.length - 1 })),
      weight: found.reduce((sum, { weight }) => sum + weight, 0),
    };
  }
}

function commonLength(a: string, b: string): number {
  let length = 0;
  while (length < a.length && a[length] === b[length]) length++;
  return length;
}

/** In preorder. */
function allNodes(list: readonly Node[]): readonly Node[] {
  return list.flatMap((node) => [node, ...allNodes(node.children)]);
}

/** The codes by key (see `codeKey`); the position is the code less `firstEntry`. */
type Dictionary = ReadonlyMap<string, number>;

function codeKey(shape: number, label: string): string {
  return String.fromCharCode(shape) + label;
}

/** Shape of the piece `start..end` of a node's label: all but the last have one only child. */
function pieceShape(node: Node, start: number, end: number): number {
  const sibling = start === 0 && node.hasSibling ? shapeBits.sibling : 0;
  if (end < node.label.length) return sibling | shapeBits.child;
  const token = node.id === undefined ? 0 : shapeBits.token;
  return sibling | token | (node.children.length > 0 ? shapeBits.child : 0);
}

/** A piece of a label: the key of its code, or a literal byte. */
type Piece = { readonly key: string; readonly isLiteral: boolean };

/** The cheapest chain of codes for a node's label, by dynamic programming from the end. */
function spell(node: Node, has: (key: string) => boolean): readonly Piece[] {
  const { length } = node.label;
  const costs = new Array<number>(length + 1).fill(0);
  const pieces = new Array<{ piece: Piece; end: number }>(length);
  for (let start = length - 1; start >= 0; start--) {
    const keyTo = (end: number) =>
      codeKey(pieceShape(node, start, end), node.label.slice(start, end));
    costs[start] = literalBytes + costs[start + 1]!;
    pieces[start] = { piece: { key: keyTo(start + 1), isLiteral: true }, end: start + 1 };
    for (let end = start + 1; end <= Math.min(length, start + longestLabel); end++) {
      const key = keyTo(end);
      if (1 + costs[end]! >= costs[start]! || !has(key)) continue;
      costs[start] = 1 + costs[end]!;
      pieces[start] = { piece: { key, isLiteral: false }, end };
    }
  }
  const spelling: Piece[] = [];
  for (let at = 0; at < length; at = pieces[at]!.end) spelling.push(pieces[at]!.piece);
  return spelling;
}

/**
 * Starts with every piece of every label and drops the least useful until 254 are left. Usefulness:
 * how often the cheapest spelling uses a code, times the bytes its absence would cost.
 */
function chooseCodes(nodes: readonly Node[]): Dictionary {
  const kinds = new Map<string, { node: Node; count: number }>();
  for (const node of nodes) {
    const key = codeKey(pieceShape(node, 0, node.label.length), node.label);
    const kind = kinds.get(key);
    if (kind === undefined) kinds.set(key, { node, count: 1 });
    else kind.count++;
  }
  let codes = new Set<string>();
  for (const { node } of kinds.values()) {
    for (let start = 0; start < node.label.length; start++) {
      for (let end = start + 1; end <= Math.min(node.label.length, start + longestLabel); end++) {
        codes.add(codeKey(pieceShape(node, start, end), node.label.slice(start, end)));
      }
    }
  }
  const wanted = codeCount - streamCodes.firstEntry;
  for (let kept = codes.size; ; ) {
    const gains = usefulness([...kinds.values()], codes);
    const sorted = [...gains].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1));
    if (kept === wanted || sorted.length <= wanted) {
      return new Map(sorted.slice(0, wanted).map(([key], code) => [key, code]));
    }
    kept = Math.max(wanted, Math.min(Math.floor(sorted.length * pruneFactor), prunedAtOnce));
    codes = new Set(sorted.slice(0, kept).map(([key]) => key));
  }
}

/** Smaller steps cost time and gained less than 100 bytes on a vocabulary of 30,522. */
const pruneFactor = 0.85;
const prunedAtOnce = 4096;

function usefulness(
  kinds: readonly { readonly node: Node; readonly count: number }[],
  codes: ReadonlySet<string>,
): ReadonlyMap<string, number> {
  const uses = new Map<string, number>();
  for (const { node, count } of kinds) {
    for (const { key, isLiteral } of spell(node, (code) => codes.has(code))) {
      if (!isLiteral) uses.set(key, (uses.get(key) ?? 0) + count);
    }
  }
  return new Map([...uses].map(([key, count]) => [key, count * (costWithout(key, codes) - 1)]));
}

function costWithout(key: string, codes: ReadonlySet<string>): number {
  const shape = key.charCodeAt(0);
  const node: Node = {
    label: key.slice(1),
    id: (shape & shapeBits.token) === 0 ? undefined : 0,
    children:
      (shape & shapeBits.child) === 0
        ? []
        : [{ label: '', id: 0, children: [], hasSibling: false }],
    hasSibling: (shape & shapeBits.sibling) !== 0,
  };
  const spelling = spell(node, (code) => code !== key && codes.has(code));
  return spelling.reduce((sum, { isLiteral }) => sum + (isLiteral ? literalBytes : 1), 0);
}

function writeList(list: readonly Node[], dictionary: Dictionary): readonly number[] {
  return list.flatMap((node) => {
    const own = spell(node, (key) => dictionary.has(key)).flatMap(({ key, isLiteral }) =>
      isLiteral
        ? [streamCodes.literal, key.charCodeAt(0), key.charCodeAt(1)]
        : [streamCodes.firstEntry + dictionary.get(key)!],
    );
    const bytes = [...own, ...writeList(node.children, dictionary)];
    if (!node.hasSibling || bytes.length < skipBytes) return bytes;
    const tokens = allNodes([node]).filter(({ id }) => id !== undefined).length;
    return [streamCodes.skip, ...varint(bytes.length), ...varint(tokens), ...bytes];
  });
}

/** Seven bits a byte, the low ones first, the top bit on all but the last. */
function varint(value: number): readonly number[] {
  return value < 0x80 ? [value] : [0x80 | (value & 0x7f), ...varint(value >> 7)];
}

function codeTables(dictionary: Dictionary) {
  const shapeShift = 12;
  const labels: number[] = [];
  const codes = new Uint16Array(streamCodes.firstEntry + dictionary.size + 1);
  for (const [key, code] of dictionary) {
    codes[streamCodes.firstEntry + code] = (key.charCodeAt(0) << shapeShift) | labels.length;
    for (let i = 1; i < key.length; i++) labels.push(key.charCodeAt(i));
  }
  codes[codes.length - 1] = labels.length;
  return { codes, labels: Uint8Array.from(labels) };
}
