/** Small pieces of C text: identifiers, constant arrays, struct initialisers. */
import { headMarkAs } from '../ir/derived-names.ts';

/** A node's or tensor's name as a C identifier; `#0` (a head group) becomes `_group_0`. */
export function identifier(name: string): string {
  const text = headMarkAs('_group_', name).replaceAll(/[^A-Za-z0-9]+/g, '_');
  return /^[A-Za-z]/.test(text) ? text : `layer_${text.replace(/^_/, '')}`;
}

/** Any text inside a comment: ASCII only, one line, and the comment does not end in it. */
export function commentText(text: string): string {
  return text
    .replaceAll(/[^ -~]/gu, '?')
    .replaceAll('*/', '*|')
    .replaceAll('/*', '|*');
}

/** The words of a statement as lines of at most 100 characters; `indent` is added later. */
export function wrap(words: readonly string[], indent: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of words) {
    const longer = line === '' ? word : `${line} ${word}`;
    if (line !== '' && indent + longer.length > 100) {
      lines.push(line);
      line = `    ${word}`;
    } else {
      line = longer;
    }
  }
  return [...lines, line];
}

/** A string as a C literal, any bytes. */
export function stringLiteral(text: string): string {
  return `"${[...new TextEncoder().encode(text)].map(literalByte).join('')}"`;
}

/** Octal, always three digits, so that a following digit does not belong to it. */
function literalByte(byte: number): string {
  const isPlain = byte >= 0x20 && byte < 0x7f && byte !== 0x22 && byte !== 0x5c && byte !== 0x3f;
  return isPlain ? String.fromCharCode(byte) : `\\${byte.toString(8).padStart(3, '0')}`;
}

export type ConstantData =
  | Int8Array
  | Uint8Array
  | Int16Array
  | Uint16Array
  | Int32Array
  | Uint32Array
  | Float32Array;

export interface ConstantArray {
  readonly name: string;
  readonly ctype: string;
  readonly data: ConstantData;
  /** Shape and meaning. */
  readonly comment: string;
  /** `static` where only its own file reads it. */
  readonly isStatic: boolean;
  /** Macro that puts it into a section. */
  readonly section: string | null;
  /** Words are read from bytes: the macro that aligns them. */
  readonly alignment?: string;
  /** The array before it that has the same elements, which this name then stands for. */
  readonly sameAs?: string;
}

/** Arrays of bytes are string literals, longer than C99 promises and without the last zero. */
export const longStrings = `#if defined(__GNUC__)
#pragma GCC diagnostic ignored "-Woverlength-strings"
#if __GNUC__ >= 15
#pragma GCC diagnostic ignored "-Wunterminated-string-initialization"
#endif
#endif
`;

/** Above this many bytes an array is written as string literals, which compile ten times faster. */
const longestList = 4096;

export function constantArray(array: ConstantArray): string {
  const { name, ctype, data, comment, isStatic, section, alignment, sameAs } = array;
  if (sameAs !== undefined) return `/* ${commentText(comment)} */\n#define ${name} ${sameAs}\n`;
  const declaration = `${isStatic ? 'static ' : ''}const ${ctype} ${name}[${data.length}]`;
  const attributes = [section, alignment].filter((one) => one != null).map((one) => ` ${one}`);
  const head = `/* ${commentText(comment)} */\n${declaration}${attributes.join('')} =`;
  const isBytes = data instanceof Int8Array || data instanceof Uint8Array;
  if (isBytes && data.length > longestList) return `${head}\n${byteLiterals(data)};\n`;
  return `${head} {\n${numberLines(data)}};\n`;
}

function numberLines(data: ConstantData): string {
  let text = '';
  let line = ' ';
  for (const value of data) {
    // INT32_MIN has no literal of type int.
    const number = value === -(2 ** 31) ? '-2147483647 - 1' : String(value);
    if (line.length + number.length + 2 > 100) {
      text += `${line}\n`;
      line = ' ';
    }
    line += ` ${number},`;
  }
  return line === ' ' ? text : `${text}${line}\n`;
}

const bytesPerLiteral = 32;
const octal = Array.from({ length: 256 }, (_, byte) => literalByte(byte));

function byteLiterals(data: ConstantData): string {
  const bytes = new Uint8Array(data.buffer, data.byteOffset, data.length);
  const lines: string[] = [];
  for (let start = 0; start < bytes.length; start += bytesPerLiteral) {
    let line = '  "';
    const end = Math.min(bytes.length, start + bytesPerLiteral);
    for (let index = start; index < end; index++) line += octal[bytes[index]!]!;
    lines.push(`${line}"`);
  }
  return lines.join('\n');
}

/** `.field = value` pairs as an initialiser, a line each. */
export function initializer(
  fields: Readonly<Record<string, string | number>>,
  indent = '',
): string {
  const lines = Object.entries(fields).map(([name, value]) => `${indent}  .${name} = ${value},\n`);
  return `{\n${lines.join('')}${indent}}`;
}

export function hex(value: number): string {
  return `0x${value.toString(16).toUpperCase().padStart(4, '0')}`;
}
