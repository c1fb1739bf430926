/** `data.jsonl`: a text a line, `{"text": …, "label": …, "text_pair": …}`, as typed data. */
import { z } from 'zod';
import type { Example } from '../emulate/stored-model.ts';
import { userError } from '../errors.ts';
import { readTextFile } from './text-file.ts';

const lineSchema = z.object({
  text: z.string('must be a string'),
  text_pair: z.string('must be a string').nullish(),
  label: z.union([z.string(), z.number(), z.boolean()], 'must be a string or a number').nullish(),
});

export interface LabelledExample extends Example {
  /** For messages: the file and the line. */
  readonly where: string;
}

export interface ExampleFile {
  readonly examples: readonly LabelledExample[];
  /** Of the bytes that were read: a pipe gives them once. */
  readonly digest: string;
}

/** Other keys are left alone; empty lines are skipped. */
export function readExamples(path: string): ExampleFile {
  const { text, digest } = readTextFile(path, lineForm);
  const lines = text.split('\n');
  const examples = lines.flatMap((line, index) =>
    line.trim() === '' ? [] : [parseLine(line, `${path}:${index + 1}`)],
  );
  if (examples.length > 0) return { examples, digest };
  throw userError({
    code: 'no-examples',
    message: `${JSON.stringify(path)} has no texts`,
    where: path,
    hint: lineForm,
  });
}

const lineForm =
  'Each line is one JSON object: {"text": "…", "label": "…"}, for pairs with "text_pair".';

function parseLine(line: string, where: string): LabelledExample {
  let json: unknown;
  try {
    json = JSON.parse(line);
  } catch {
    // The place within the line is in no stable form; the line is what the user needs.
    throw badLine('it is not JSON', where);
  }
  const parsed = lineSchema.safeParse(json);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    const key = issue?.path.join('.');
    throw badLine(key ? `"${key}" ${issue?.message}` : 'it is not a JSON object', where);
  }
  const { text, text_pair: textPair, label } = parsed.data;
  return { text, textPair: textPair ?? undefined, label: label?.toString(), where };
}

function badLine(reason: string, where: string): Error {
  return userError({
    code: 'bad-example',
    message: `a line of the data cannot be used: ${reason}`,
    where,
    hint: lineForm,
  });
}
