/**
 * A regular expression as JavaScript writes it (with the flag u) to an expression. What looks beyond
 * the characters it takes (look-around, word boundaries, back-references) is refused with its place.
 */
import { type AST, RegExpParser } from '@eslint-community/regexpp';
import { assertExhaustive, userError } from '../errors.ts';
import {
  type CharacterSet,
  choice,
  complement,
  type Expression,
  everyCharacter,
  repeat,
  sequence,
  single,
  union,
} from './expression.ts';

/** A parsed pattern: what it takes, and whether it is tied to the text's ends. */
export interface Pattern {
  readonly expression: Expression;
  readonly startsText: boolean;
  readonly endsText: boolean;
}

/** `origin`: how messages name the pattern. */
export function parsePattern(source: string, origin: string): Pattern {
  const alternatives = parse(source, origin);
  const only = alternatives.length === 1 ? alternatives[0]!.elements : [];
  const startsText = isEdge(only[0], 'start');
  const endsText = only.length > (startsText ? 1 : 0) && isEdge(only.at(-1), 'end');
  const context = { origin };
  const expression =
    startsText || endsText
      ? sequence(
          ...only
            .slice(startsText ? 1 : 0, endsText ? -1 : undefined)
            .map((element) => elementOf(element, context)),
        )
      : alternativesOf(alternatives, context);
  return { expression, startsText, endsText };
}

interface Context {
  readonly origin: string;
}

function parse(source: string, origin: string): readonly AST.Alternative[] {
  try {
    const parser = new RegExpParser({ ecmaVersion: 2024 });
    return parser.parsePattern(source, 0, source.length, { unicode: true }).alternatives;
  } catch (cause) {
    if (!(cause instanceof SyntaxError)) throw cause;
    const index = 'index' in cause ? Number(cause.index) : 0;
    throw userError({
      code: 'bad-pattern',
      message: `${origin} is no regular expression: ${cause.message.replace(/^.*\/u?: /s, '')}`,
      where: placeOf(origin, index),
      hint: 'A pattern is written as in JavaScript, with the flag u; a backslash makes a character stand for itself.',
    });
  }
}

function placeOf(origin: string, index: number): string {
  return `character ${index + 1} of ${origin}`;
}

function isEdge(element: AST.Element | undefined, kind: 'start' | 'end'): boolean {
  return element?.type === 'Assertion' && element.kind === kind;
}

function alternativesOf(alternatives: readonly AST.Alternative[], context: Context): Expression {
  return choice(
    alternatives.map(({ elements }) =>
      sequence(...elements.map((element) => elementOf(element, context))),
    ),
  );
}

function elementOf(element: AST.Element, context: Context): Expression {
  switch (element.type) {
    case 'Character':
    case 'CharacterSet':
    case 'CharacterClass': {
      const set = setOf(element, context);
      return { kind: 'character', set, origin: placeOf(context.origin, element.start) };
    }
    case 'Group':
      if (element.modifiers !== null) throw unsupported(element, context);
      return alternativesOf(element.alternatives, context);
    case 'CapturingGroup':
      return alternativesOf(element.alternatives, context);
    case 'Quantifier':
      return repeat(elementOf(element.element, context), element.min, element.max);
    case 'Assertion':
    case 'Backreference':
    case 'ExpressionCharacterClass':
      throw unsupported(element, context);
    default:
      return assertExhaustive(element);
  }
}

type SetNode = AST.Character | AST.CharacterSet | AST.CharacterClass | AST.CharacterClassRange;

function setOf(node: SetNode, context: Context): CharacterSet {
  switch (node.type) {
    case 'Character':
      return union([single(node.value)]);
    case 'CharacterClassRange':
      return union([{ first: node.min.value, last: node.max.value }]);
    case 'CharacterSet':
      return namedSet(node, context);
    case 'CharacterClass': {
      const set = union(
        node.elements.flatMap((element) =>
          element.type === 'ClassStringDisjunction' || element.type === 'ExpressionCharacterClass'
            ? []
            : setOf(element, context),
        ),
      );
      return node.negate ? complement(set) : set;
    }
    default:
      return assertExhaustive(node);
  }
}

const range = (first: string, last = first) => ({
  first: first.codePointAt(0)!,
  last: last.codePointAt(0)!,
});

/** ECMA-262: LineTerminator, WhiteSpace and LineTerminator, WordCharacters. */
const lineEnds = union([range('\n'), range('\r'), range('\u2028', '\u2029')]);
const namedSets = {
  digit: [range('0', '9')],
  word: union([range('0', '9'), range('A', 'Z'), range('_'), range('a', 'z')]),
  space: union([
    ...[range('\t', '\r'), range(' '), range('\u00a0'), range('\u1680')],
    ...[range('\u2000', '\u200a'), range('\u2028', '\u2029'), range('\u202f')],
    ...[range('\u205f'), range('\u3000'), range('\ufeff')],
  ]),
} as const;

function namedSet(node: AST.CharacterSet, context: Context): CharacterSet {
  if (node.kind === 'any') return complement(lineEnds);
  if (node.kind === 'property') throw unsupported(node, context);
  return node.negate ? complement(namedSets[node.kind]) : namedSets[node.kind];
}

/** Any text, of which a pattern that is not tied to the ends may be a part. */
export const anything: (origin: string) => Expression = (origin) =>
  repeat({ kind: 'character', set: everyCharacter, origin }, 0, Number.POSITIVE_INFINITY);

function unsupported(node: AST.Node, { origin }: Context) {
  return userError({
    code: 'unsupported-pattern',
    message: `${JSON.stringify(node.raw)} cannot be compiled: it is more than characters, classes, groups, | and repetition`,
    where: placeOf(origin, node.start),
    hint: 'Write what may stand there as characters; ^ and $ are only for the two ends of the whole pattern.',
  });
}
