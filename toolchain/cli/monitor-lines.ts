/** Lines of the console as people and as programs want them. */
import { styleText } from 'node:util';
import { printable } from '../../flasher/lines.ts';

export interface MonitorLine {
  readonly from: 'board' | 'host';
  readonly at: Date;
  readonly text: string;
  /** It was too long to be kept whole. */
  readonly isCut: boolean;
}

export interface LineStyle {
  readonly timestamps: boolean;
  readonly raw: boolean;
  readonly color: boolean;
}

/** One object a line; `answer` where the board spoke JSON. */
export function eventOf({ from, at, text, isCut }: MonitorLine): object {
  const answer = parseObject(text);
  return {
    at: at.toISOString(),
    from,
    ...(isCut ? { cut: true } : {}),
    ...(from === 'board' && answer !== null ? { answer } : { text }),
  };
}

export function describeLine(line: MonitorLine, { timestamps, raw, color }: LineStyle): string {
  const { from, at, text, isCut } = line;
  const paint = (style: 'dim' | 'bold' | 'red', words: string) =>
    color ? styleText(style, words, { validateStream: false }) : words;
  const answer = from === 'board' && !raw ? parseObject(text) : null;
  const shown = answer === null ? null : describeAnswer(answer);
  const body = shown ?? { style: from === 'host' ? 'dim' : null, words: printable(text) };
  const time = timestamps ? `${paint('dim', at.toISOString().slice(11, 23))} ` : '';
  const mark = from === 'host' ? '> ' : '';
  const rest = isCut ? ' … (the line was longer)' : '';
  const words = body.style === null ? body.words : paint(body.style as 'dim', body.words);
  return `${time}${mark}${words}${rest}`;
}

type Answer = Readonly<Record<string, unknown>>;

/** What the firmware says, in a few words; null: shown as it is. */
function describeAnswer(
  answer: Answer,
): { style: 'bold' | 'red' | 'dim' | null; words: string } | null {
  const { ready, label, tokenLabels, error, fault } = answer;
  if (typeof ready === 'string') return { style: 'dim', words: `ready: ${printable(ready)}` };
  if (typeof label === 'string') {
    return { style: 'bold', words: [printable(label), ...detailsOf(answer)].join(', ') };
  }
  if (Array.isArray(tokenLabels)) {
    return { style: 'bold', words: printable(tokenLabels.join(' ')) };
  }
  if (isRecord(error)) {
    return { style: 'red', words: printable(`error ${error['code']}: ${error['message']}`) };
  }
  if (isRecord(fault)) return { style: 'red', words: printable(`fault: ${JSON.stringify(fault)}`) };
  return null;
}

function detailsOf({ tokens, truncated, instructions, cycles }: Answer): readonly string[] {
  const work = isRecord(cycles) ? cycles : isRecord(instructions) ? instructions : null;
  const unit = isRecord(cycles) ? 'cycles' : 'instructions';
  const count = typeof work?.['inference'] === 'number' ? work['inference'] : null;
  return [
    ...(typeof tokens === 'number' ? [`${tokens} tokens`] : []),
    ...(truncated === true ? ['the text was cut'] : []),
    ...(count === null ? [] : [`${count.toLocaleString('en-US')} ${unit}`]),
  ];
}

function isRecord(value: unknown): value is Answer {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function parseObject(text: string): Answer | null {
  try {
    const value: unknown = JSON.parse(text);
    return isRecord(value) ? value : null;
  } catch {
    return null; // noise, or a half line: shown as it is
  }
}
