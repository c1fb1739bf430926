/** The files of a model as the importers see them: by name, from a folder or from memory. */
import { createHash } from 'node:crypto';
import type { z } from 'zod';
import { userError } from '../errors.ts';

export interface ModelFiles {
  has(name: string): boolean;
  read(name: string): Uint8Array | undefined;
}

export interface RecordedFiles extends ModelFiles {
  /** Over the names and bytes of all files read so far, in the order of their names. */
  sha256(): string;
}

/** Files that remember what was read of them. */
export function recordReads(files: ModelFiles): RecordedFiles {
  const seen = new Map<string, Uint8Array>();
  return {
    has: files.has,
    read: (name) => {
      const bytes = seen.get(name) ?? files.read(name);
      if (bytes !== undefined) seen.set(name, bytes);
      return bytes;
    },
    sha256: () => {
      const hash = createHash('sha256');
      for (const name of [...seen.keys()].sort()) {
        const bytes = seen.get(name)!;
        hash.update(`${name}\0${bytes.length}\0`).update(bytes);
      }
      return hash.digest('hex');
    },
  };
}

export function filesFromMemory(contents: Readonly<Record<string, Uint8Array>>): ModelFiles {
  return {
    has: (name) => Object.hasOwn(contents, name),
    read: (name) => (Object.hasOwn(contents, name) ? contents[name] : undefined),
  };
}

/** Words of a file in a message: printable and not too long. */
export function quote(text: string): string {
  return JSON.stringify(shorten(text));
}

export function shorten(text: string): string {
  return text.length > 120 ? `${text.slice(0, 120)}…` : text;
}

/** Parsed text takes many times its bytes, so there is a limit; tokenizer.json has under 1 MB. */
const maxTextBytes = 16_000_000;

export function checkTextSize(bytes: Uint8Array, file: string): void {
  if (bytes.length <= maxTextBytes) return;
  throw userError({
    code: 'file-too-large',
    message: `${file} is too large`,
    where: file,
    neededBytes: bytes.length,
    availableBytes: maxTextBytes,
    hint: 'The text files of a BERT model have less than 1 MB: this is another file.',
  });
}

/** A JSON file of the model as typed data; the error lists every field that is wrong. */
export function parseJsonFile<T>(schema: z.ZodType<T>, bytes: Uint8Array, file: string): T {
  checkTextSize(bytes, file);
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (cause) {
    // TextDecoder throws TypeError, JSON.parse SyntaxError; both speak of these bytes only.
    const error = userError({
      code: 'bad-json',
      message: `${file} is not JSON`,
      where: file,
      hint: 'Copy the file again from the model; it may be cut off or a Git LFS pointer.',
    });
    error.cause = cause;
    throw error;
  }
  const result = schema.safeParse(json);
  if (result.success) return result.data;
  const problems = result.error.issues.slice(0, 8).map((issue) => {
    const place = issue.path.length === 0 ? file : issue.path.join('.');
    return `${shorten(place)}: ${shorten(issue.message)}`;
  });
  throw userError({
    code: 'bad-config',
    message: `${file} is not as expected: ${problems.join('; ')}`,
    where: file,
    hint: 'Take the file as transformers wrote it beside these weights.',
  });
}
