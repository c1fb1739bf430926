/**
 * A firmware that counts the instructions of every call: the generated `lm2mcu_run` with a mark
 * before each of its numbered calls (profile.c).
 */
import { readFileSync } from 'node:fs';
import * as z from 'zod';
import type { FirmwareSource } from '../../toolchain/build/firmware.ts';
import type { SourceFile } from '../../toolchain/emit/source-file.ts';
import { internalError } from '../../toolchain/errors.ts';
import { packagePath } from '../../toolchain/package-root.ts';

const modelFile = 'lm2mcu_model.c';

export function profiledSources(
  sources: readonly SourceFile[],
  calls: number,
): readonly FirmwareSource[] {
  const marked = sources.map((source) =>
    source.path === modelFile
      ? { ...source, content: withMarks(String(source.content), calls) }
      : source,
  );
  const header = `#include <stdint.h>
#define PROFILE_CALLS ${calls}
void profile_mark(int32_t call);
void profile_end(void);
`;
  return [
    ...marked,
    { path: 'profile.h', content: header },
    { path: 'profile.c', content: readFileSync(packagePath('test', 'bench', 'profile.c')) },
  ];
}

/** The emitter numbers the calls in the comments before them. */
function withMarks(source: string, calls: number): string {
  const start = source.indexOf('lm2mcu_status lm2mcu_run(');
  const end = source.indexOf('  *result =', start);
  const body = source.slice(start, end);
  const found = Array.from(body.matchAll(/^ *\/\* (\d+): /gm), ([, number]) => Number(number));
  const isComplete = Array.from({ length: calls }, (_, call) => found.includes(call)).every(
    Boolean,
  );
  if (start < 0 || end < 0 || !isComplete) {
    throw internalError(`${calls} numbered calls were expected, ${found.length} found`, modelFile);
  }
  const marked = body.replace(/^( *)(?=\/\* (\d+): )/gm, '$1profile_mark($2);\n$1');
  return `#include "profile.h"\n${source.slice(0, start)}${marked}  profile_end();\n${source.slice(end)}`;
}

const profileSchema = z.strictObject({ profile: z.array(z.number()) });

/** By call, from the line that the firmware prints. */
export function parseProfile(line: string): readonly number[] {
  return profileSchema.parse(JSON.parse(line)).profile;
}
