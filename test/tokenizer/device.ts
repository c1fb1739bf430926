/** The C tokenizer, compiled for the host with sanitizers and fed in bulk through a pipe. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'vitest';
import { packagePath } from '../../toolchain/package-root.ts';
import type { CompiledTokenizer } from '../../toolchain/tokenizer/compile.ts';
import {
  tokenizerCode,
  tokenizerConstants,
  tokenizerFields,
} from '../../toolchain/tokenizer/constants.ts';
import type { EncodedText } from '../../toolchain/tokenizer/encode.ts';

export interface DeviceInput {
  readonly text: Uint8Array;
  readonly pair?: Uint8Array | undefined;
  readonly maxTokens: number;
}

export interface Device {
  /** Ids as in the vocabulary, like `encode`'s. */
  run(inputs: readonly DeviceInput[]): EncodedText[];
  /** The bytes of each compact id, where the kind can spell. */
  spell(): readonly Uint8Array[];
  /** Removes the program. */
  close(): void;
}

export const sanitized = ['-O1', '-g', '-fsanitize=address,undefined', '-fno-sanitize-recover=all'];

export const optimized = ['-O2'];

const maxOutputBytes = 1 << 29;
const noPair = 0xffff_ffff;

export function makeDevice(compiled: CompiledTokenizer, flags = sanitized): Device {
  const folder = mkdtempSync(join(tmpdir(), 'lm2mcu-tokenizer-'));
  const program = join(folder, 'tokenizer');
  writeFileSync(join(folder, 'constants.h'), constantsHeader(compiled));
  const kernels = packagePath('kernels', 'c');
  const kernelFiles = tokenizerCode(compiled).files.filter((file) => file.endsWith('.c'));
  const sources = [
    packagePath('test', 'tokenizer', 'device.c'),
    ...kernelFiles.map((file) => packagePath('kernels', file)),
  ];
  const warnings = ['-std=c99', '-Wall', '-Wextra', '-Wconversion', '-Werror'];
  execFileSync('gcc', [
    ...warnings,
    ...flags,
    `-I${kernels}`,
    `-I${folder}`,
    ...sources,
    '-o',
    program,
  ]);
  return {
    run(inputs) {
      const input = Buffer.concat(inputs.flatMap(frame));
      const output = execFileSync(program, { input, maxBuffer: maxOutputBytes });
      return parseOutput(output, inputs.length, compiled.idOrder);
    },
    spell() {
      const output = execFileSync(program, ['spell'], { maxBuffer: maxOutputBytes });
      let at = 0;
      return Array.from(compiled.idOrder, () => {
        const length = output.readInt32LE(at);
        at += 4 + length;
        return output.subarray(at - length, at);
      });
    },
    close: () => rmSync(folder, { recursive: true }),
  };
}

/** What the emitter of firmware does with the constants, in short. */
function constantsHeader(compiled: CompiledTokenizer): string {
  const arrays = tokenizerConstants(compiled).map(
    ({ name, ctype, data, comment }) =>
      `/* ${comment} */\nstatic const ${ctype} ${name}[] = {${data.join(',')}};\n`,
  );
  const fields = tokenizerFields(compiled).map(({ field, value }) => `  ${field} = ${value},\n`);
  const { struct, tokenize, header } = tokenizerCode(compiled);
  return `#include "${header.replace('kernels/', '')}"
#define tokenize ${tokenize}
#define TOKENS ${compiled.idOrder.length}
${compiled.kind === 'bpe' ? '#define spell lm_bpe_spell\n' : ''}
${arrays.join('')}static const ${struct} tokenizer = {\n${fields.join('')}};\n`;
}

function frame({ text, pair, maxTokens }: DeviceInput): readonly Uint8Array[] {
  const header = Uint32Array.of(text.length, pair?.length ?? noPair, maxTokens);
  return [new Uint8Array(header.buffer), text, pair ?? new Uint8Array()];
}

function parseOutput(output: Buffer, count: number, idOrder: Int32Array): EncodedText[] {
  let at = 0;
  const results = Array.from({ length: count }, () => {
    const tokens = output.readInt32LE(at);
    const segmentStart = output.readInt32LE(at + 4);
    const truncated = output.readInt32LE(at + 8) !== 0;
    at += 12;
    const ids = Int32Array.from(
      { length: tokens },
      (_, i) => idOrder[output.readUInt16LE(at + 2 * i)]!,
    );
    at += 2 * tokens;
    return { ids, segmentStart, truncated };
  });
  if (at !== output.length) throw new Error(`${output.length - at} bytes too many`);
  return results;
}

/** Fails at the first difference, with the text and both answers. */
export function expectSame(
  name: string,
  texts: readonly unknown[],
  ours: readonly EncodedText[],
  theirs: readonly EncodedText[],
): void {
  expect(ours.length).toBe(theirs.length);
  ours.forEach((our, i) => {
    const [a, b] = [summary(our), summary(theirs[i]!)];
    if (a !== b) expect(a, `${name}: ${JSON.stringify(texts[i])}`).toBe(b);
  });
}

function summary({ ids, segmentStart, truncated }: EncodedText): string {
  return `${ids.join(' ')} / ${segmentStart} ${truncated}`;
}
