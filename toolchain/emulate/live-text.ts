/**
 * A text that is generated, as it comes: from tokens, or from the console's line, whose text is written
 * before the rest of the answer is known. Characters whose bytes come in parts come whole.
 */
import { textOf } from '../generate/text.ts';
import { decodeBpe } from '../tokenizer/bpe/encode.ts';
import type { RunnableModel } from './stored-model.ts';

/** Who listens to a generation, and may end it after the token that is being made. */
export interface Listener {
  onText(piece: string): void;
  readonly signal: AbortSignal;
}

export interface LiveText {
  /** A compact id. */
  add(id: number): void;
  end(): void;
}

export function liveText({ tokenizer, idOrder }: RunnableModel, { onText }: Listener): LiveText {
  const say = (piece: string) => {
    if (piece !== '') onText(piece);
  };
  if (tokenizer.kind === 'bpe') {
    const decoder = new TextDecoder();
    return {
      add: (id) => say(decoder.decode(decodeBpe(tokenizer, [idOrder[id]!]), { stream: true })),
      end: () => say(decoder.decode()),
    };
  }
  // Words: what is behind a text only adds to it.
  const ids: number[] = [];
  let said = 0;
  return {
    add(id) {
      ids.push(idOrder[id]!);
      const text = textOf(tokenizer, ids);
      say(text.slice(said));
      said = text.length;
    },
    end() {},
  };
}

/** Who listens to a line of the console while it comes. */
export interface AnswerListener {
  onBytes(bytes: Uint8Array): void;
  readonly signal: AbortSignal;
}

/** Ends what the console is writing. */
export const cancelByte = 0x03;

export function answerListener({ onText, signal }: Listener): AnswerListener {
  return { onBytes: textOfAnswer(onText), signal };
}

const start = '"text":"';
/** Of a JSON string: what is whole, without an escape that has only begun. */
const wholePart = /^(?:[^"\\]|\\u[0-9a-fA-F]{4}|\\[^u])*/;

/** Takes the bytes of an answer's line as they come. */
function textOfAnswer(onText: (piece: string) => void): (bytes: Uint8Array) => void {
  const decoder = new TextDecoder();
  let waiting = '';
  let state: 'before' | 'within' | 'behind' = 'before';
  return (bytes) => {
    if (state === 'behind') return;
    waiting += decoder.decode(bytes, { stream: true });
    if (state === 'before') {
      const at = waiting.indexOf(start);
      if (at < 0) return;
      waiting = waiting.slice(at + start.length);
      state = 'within';
    }
    const whole = wholePart.exec(waiting)![0];
    waiting = waiting.slice(whole.length);
    if (waiting.startsWith('"')) state = 'behind';
    if (whole !== '') onText(JSON.parse(`"${whole}"`));
  };
}
