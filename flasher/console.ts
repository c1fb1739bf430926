/**
 * The firmware's console over a serial port: a line out, a line of JSON back. The line may be noisy:
 * what is no JSON object is passed over, a lost answer is asked for again, and after either the two
 * sides are brought into step by the model card, which only the line `?` is answered with.
 */
import { type AnswerListener, cancelByte } from '../toolchain/emulate/live-text.ts';
import { environmentError, type Lm2mcuError } from '../toolchain/errors.ts';
import { lineSplitter, type TextLine } from './lines.ts';
import type { Port } from './port.ts';

export interface BoardConsole {
  /** What the firmware says of itself. */
  readonly card: ModelCardLine;
  /**
   * Sends a line and returns the answer's line. `isPlausible` rejects an answer that noise has made:
   * then the line is sent again. A listener gets what comes meanwhile.
   */
  ask(
    line: string,
    isPlausible?: (answer: object) => boolean,
    listener?: AnswerListener,
  ): Promise<string>;
  close(): Promise<void>;
}

/** The keys that tell the card from any other answer. */
export interface ModelCardLine {
  readonly name: string;
  readonly target: string;
  /** Of the compiled graph. */
  readonly sha256: string;
}

export interface ConsoleOptions {
  /** The longest silence before an answer; inference on a slow chip takes a while. */
  readonly answerMs: number;
  readonly attempts: number;
}

const CARD_MS = 3000;
/** When a port is opened: the board may still be at work on somebody else's line. */
const OPENING_MS = 8000;
/** Between two bytes of a line that has begun. */
const PAUSE_MS = 500;
const MAX_UNRELATED_LINES = 1000;

export async function openBoardConsole(
  port: Port,
  { answerMs, attempts }: ConsoleOptions,
): Promise<BoardConsole> {
  const splitter = lineSplitter();
  let lines: TextLine[] = [];
  let listening: AnswerListener | undefined;
  /** The next line, or null after the silence. */
  const nextLine = async (silenceMs: number): Promise<TextLine | null> => {
    for (let patience = silenceMs; lines.length === 0; patience = PAUSE_MS) {
      const bytes = await port.read(patience);
      if (bytes.length === 0) return null;
      listening?.onBytes(bytes);
      lines = [...splitter.push(bytes)];
    }
    return lines.shift() ?? null;
  };
  const nextObject = async (silenceMs: number): Promise<readonly [string, object] | null> => {
    for (let count = 0; count < MAX_UNRELATED_LINES; count++) {
      const line = await nextLine(silenceMs);
      if (line === null) return null;
      const object = parseObject(line.text);
      if (object === null || 'ready' in object) continue; // noise, or a reset in between
      if ('fault' in object) throw faulted(line.text);
      return [line.text, object];
    }
    return null;
  };
  /**
   * One line at a time: while it computes, the firmware does not read. Another answer than the card
   * belongs to what was sent, or to noise that came, before; then the next one is the card.
   */
  const synchronise = async (patienceMs: number): Promise<ModelCardLine | null> => {
    for (let attempt = 0; attempt < attempts; attempt++) {
      await port.write(new TextEncoder().encode('?\n'));
      const answer = await nextObject(attempt === 0 ? CARD_MS : patienceMs);
      if (answer !== null && isCard(answer[1])) return answer[1];
    }
    return null;
  };
  const nextAnswer = async (): Promise<readonly [string, object] | null> => {
    let answer = await nextObject(answerMs);
    while (answer !== null && isCard(answer[1])) answer = await nextObject(answerMs);
    return answer;
  };

  const heardBy = async <T>(
    listener: AnswerListener | undefined,
    work: () => Promise<T>,
  ): Promise<T> => {
    const cancel = () => void port.write(Uint8Array.of(cancelByte));
    listening = listener;
    listener?.signal.addEventListener('abort', cancel);
    try {
      return await work();
    } finally {
      listening = undefined;
      listener?.signal.removeEventListener('abort', cancel);
    }
  };

  const card = await synchronise(OPENING_MS);
  if (card === null) throw silent();
  return {
    card,
    async ask(line, isPlausible = () => true, listener) {
      for (let attempt = 0; attempt < attempts; attempt++) {
        if (attempt > 0 && (await synchronise(answerMs)) === null) break;
        await port.write(new TextEncoder().encode(`${line}\n`));
        const answer = await heardBy(listener, nextAnswer);
        if (answer !== null && isPlausible(answer[1])) return answer[0];
      }
      throw environmentError({
        code: 'no-answer',
        message: `the board gave no usable answer to a line, asked ${attempts} times`,
        hint: 'Check cable and ground; watch the line with: lm2mcu monitor --port …',
      });
    },
    close: () => port.close(),
  };
}

function parseObject(text: string): object | null {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? value : null;
  } catch {
    return null; // noise is no JSON, and that is all there is to say about it
  }
}

function isCard(answer: object): answer is ModelCardLine {
  return 'sha256' in answer && 'target' in answer && 'name' in answer;
}

function silent(): Lm2mcuError {
  return environmentError({
    code: 'no-console',
    message: 'no firmware of lm2mcu answers on this port',
    hint: 'Flash it first: lm2mcu flash <dir> --port …; or it is another port: lm2mcu ports',
  });
}

function faulted(report: string): Lm2mcuError {
  return environmentError({
    code: 'firmware-fault',
    message: `the firmware on the board stopped with a fault: ${report}`,
    hint: 'Reset the board. If it happens again, please report it with the model and this line.',
  });
}
