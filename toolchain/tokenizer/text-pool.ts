/** Texts for the device, one behind the other, each ended by NUL. */
import { userError } from '../errors.ts';

const encoder = new TextEncoder();
const largest = 0x1_0000;

/** The texts, each once, and where each is; the end of one may be another. */
export function textPool(texts: readonly string[]) {
  const starts = new Map<string, number>();
  const bytes: number[] = [];
  for (const text of [...new Set(texts)].sort((a, b) => b.length - a.length)) {
    if (starts.has(text)) continue;
    const chars = Array.from(text);
    let at = bytes.length;
    for (let i = 0; i <= chars.length; i++) {
      const rest = chars.slice(i).join('');
      if (!starts.has(rest)) starts.set(rest, at);
      at += encoder.encode(chars[i] ?? '').length;
    }
    for (const byte of encoder.encode(text)) bytes.push(byte);
    bytes.push(0);
  }
  if (bytes.length > largest) throw tooLarge(bytes.length, largest);
  return {
    text: Uint8Array.from(bytes),
    offsets: Uint16Array.from(texts, (text) => starts.get(text)!),
  };
}

function tooLarge(needed: number, available: number) {
  return userError({
    code: 'normalizer-too-large',
    message: 'what the normalizer turns characters into does not fit into its table',
    where: 'tokenizer.json, normalizer',
    neededBytes: needed,
    availableBytes: available,
    hint: 'Use a model with a vocabulary of fewer languages.',
  });
}
