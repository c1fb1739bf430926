/** `lm2mcu inspect` of an Ethos-U command stream: alone, in a payload, or in a TFLite file of Vela's. */
import { existsSync, readFileSync, statSync } from 'node:fs';
import { acceleratorOfConfig } from '../ethosu/accelerators.ts';
import { disassemble, formatStream } from '../ethosu/disassemble.ts';
import { isPayload, readPayload } from '../ethosu/payload.ts';
import { wordsOf } from '../ethosu/stream.ts';
import { isTflite, readTflite } from '../ethosu/tflite.ts';
import type { Output } from './command.ts';

/** How the fixtures name a stream without a payload around it. */
const streamEnding = '.cms.bin';

/** Null: the path is none of these. */
export function inspectStream(path: string): Output | null {
  if (!existsSync(path) || !statSync(path).isFile()) return null;
  const found = readFound(path, readFileSync(path));
  if (found === null) return null;
  const { words, config } = found;
  const accelerator = config === null ? null : (acceleratorOfConfig(config)?.name ?? null);
  const commands = disassemble(words);
  return {
    json: { kind: 'ethos-u-command-stream', accelerator, config, words: words.length, commands },
    text: [
      `stream      ${words.length.toLocaleString('en-US')} words, ${commands.length.toLocaleString('en-US')} commands`,
      ...(config === null
        ? []
        : [
            `for         ${accelerator ?? 'no known accelerator'} (config 0x${config.toString(16)})`,
          ]),
      formatStream(words),
    ].join('\n'),
  };
}

interface Found {
  readonly words: Uint32Array;
  readonly config: number | null;
}

function readFound(path: string, bytes: Uint8Array): Found | null {
  if (isPayload(bytes)) return readPayload(bytes, path);
  if (isTflite(bytes)) {
    const model = readTflite(bytes, path);
    // Without one it is a model like others.
    return model === null ? null : readPayload(model.payload, path);
  }
  return path.endsWith(streamEnding) ? { words: wordsOf(bytes, path), config: null } : null;
}
