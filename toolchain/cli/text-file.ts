/** A text file that the user gives, or what keeps it from being read. */
import { readFileSync } from 'node:fs';
import { digestOf } from '../build/out-folder.ts';
import { userError } from '../errors.ts';

export interface TextFile {
  readonly text: string;
  /** Of the bytes that were read: a pipe gives them once. */
  readonly digest: string;
}

/** `form`: what must be in it, in a sentence. */
export function readTextFile(path: string, form: string): TextFile {
  try {
    const bytes = readFileSync(path);
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    return { text, digest: digestOf(bytes) };
  } catch (cause) {
    const code = cause instanceof Error && 'code' in cause ? cause.code : '';
    const reasons: Readonly<Record<string, string>> = {
      ENOENT: 'there is no such file',
      EISDIR: 'it is a folder',
      EACCES: 'permission denied',
      ERR_ENCODING_INVALID_ENCODED_DATA: 'it is not UTF-8 text',
    };
    const reason = reasons[String(code)];
    if (reason === undefined) throw cause;
    const error = userError({
      code: 'unreadable-file',
      message: `${JSON.stringify(path)} cannot be read: ${reason}`,
      where: path,
      hint: `It must be a text file. ${form}`,
    });
    error.cause = cause;
    throw error;
  }
}
