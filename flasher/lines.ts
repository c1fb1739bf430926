/** Cuts a stream of bytes into lines of text, whatever comes: noise, no line ends, half characters. */

export interface TextLine {
  readonly text: string;
  /** It was longer than the limit, and the rest of it was thrown away. */
  readonly isCut: boolean;
}

/** Far above any answer of the firmware: logits of 512 tokens are below 100 KB. */
export const maxLineBytes = 1 << 20;

export interface LineSplitter {
  push(bytes: Uint8Array): readonly TextLine[];
  /** What has come since the last line's end; it counts as a line when nothing follows. */
  flush(): TextLine | null;
}

/** A line ends with LF, CR or CR LF; empty ones are left out. Holds `maxBytes` at most. */
export function lineSplitter(maxBytes = maxLineBytes): LineSplitter {
  let parts: Uint8Array[] = [];
  let length = 0;
  let isCut = false;
  const add = (bytes: Uint8Array) => {
    const room = Math.min(bytes.length, maxBytes - length);
    if (room < bytes.length) isCut = true;
    if (room > 0) parts.push(bytes.slice(0, room));
    length += room;
  };
  const flush = (): TextLine | null => {
    if (length === 0) return null;
    // At the end and not part by part: a character may arrive in two.
    const line = { text: new TextDecoder().decode(Buffer.concat(parts)), isCut };
    [parts, length, isCut] = [[], 0, false];
    return line;
  };
  return {
    push(bytes) {
      const lines: TextLine[] = [];
      let start = 0;
      for (let index = 0; index < bytes.length; index++) {
        if (bytes[index] !== 0x0a && bytes[index] !== 0x0d) continue;
        add(bytes.subarray(start, index));
        start = index + 1;
        const line = flush();
        if (line !== null) lines.push(line);
      }
      add(bytes.subarray(start));
      return lines;
    },
    flush,
  };
}

/** Noise must not move a terminal's cursor: control characters are shown, not obeyed. */
export function printable(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what this is about
  return text.replaceAll(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, (character) => {
    const code = character.codePointAt(0)!;
    return `\\x${code.toString(16).padStart(2, '0')}`;
  });
}
