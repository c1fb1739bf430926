/** Model folders in memory, and the edits that tests make to them. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { packageRoot } from '../../toolchain/package-root.ts';

export type Files = Readonly<Record<string, Uint8Array>>;

export function fixtureFiles(name: string): Files {
  const folder = join(packageRoot, 'test/fixtures/hf', name);
  return Object.fromEntries(
    readdirSync(folder)
      .filter((file) => file !== 'golden.json')
      .map((file) => [file, new Uint8Array(readFileSync(join(folder, file)))]),
  );
}

export function utf8(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

export function textOf(bytes: Uint8Array | undefined): string {
  return new TextDecoder().decode(bytes);
}

export function without(files: Files, name: string): Files {
  return Object.fromEntries(Object.entries(files).filter(([file]) => file !== name));
}

export function withJson(files: Files, name: string, changes: Readonly<object>): Files {
  const json = files[name] === undefined ? {} : JSON.parse(textOf(files[name]));
  return { ...files, [name]: utf8(JSON.stringify({ ...json, ...changes })) };
}

/** Header text and data of a safetensors file. */
export function splitSafetensors(bytes: Uint8Array): readonly [header: string, data: Uint8Array] {
  const length = Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true));
  return [textOf(bytes.subarray(8, 8 + length)), bytes.subarray(8 + length)];
}

export function joinSafetensors(header: string, data: Uint8Array): Uint8Array {
  const text = utf8(header);
  const bytes = new Uint8Array(8 + text.length + data.length);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(text.length), true);
  bytes.set(text, 8);
  bytes.set(data, 8 + text.length);
  return bytes;
}

export interface Entry {
  dtype: string;
  shape: number[];
  data_offsets: [number, number];
}

/** The files with another header before the same data. */
export function withHeader(files: Files, edit: (entries: Record<string, Entry>) => void): Files {
  const [header, data] = splitSafetensors(files['model.safetensors']!);
  const entries = JSON.parse(header);
  edit(entries);
  return { ...files, 'model.safetensors': joinSafetensors(JSON.stringify(entries), data) };
}

/** The same weights in `count` shards with an index. */
export function sharded(files: Files, count: number): Record<string, Uint8Array> {
  const [header, data] = splitSafetensors(files['model.safetensors']!);
  const entries: Record<string, Entry> = JSON.parse(header);
  delete entries['__metadata__'];
  const names = Object.keys(entries);
  const result: Record<string, Uint8Array> = { ...without(files, 'model.safetensors') };
  const weight_map: Record<string, string> = {};
  for (let shard = 0; shard < count; shard++) {
    const file = `model-${shard + 1}-of-${count}.safetensors`;
    const part: Record<string, Entry> = {};
    const chunks: number[] = [];
    for (const name of names.filter((_, index) => index % count === shard)) {
      const { dtype, shape, data_offsets } = entries[name]!;
      const begin = chunks.length;
      chunks.push(...data.subarray(...data_offsets));
      part[name] = { dtype, shape, data_offsets: [begin, chunks.length] };
      weight_map[name] = file;
    }
    result[file] = joinSafetensors(JSON.stringify(part), Uint8Array.from(chunks));
  }
  result['model.safetensors.index.json'] = utf8(JSON.stringify({ metadata: {}, weight_map }));
  return result;
}
