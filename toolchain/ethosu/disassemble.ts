/** A command stream as text: a line a command, and behind each op what it does. */
import type { Block, Operation } from './operations.ts';
import { readOperations } from './read-operations.ts';
import { type Command, fieldValue, rowOf } from './registers.ts';
import { type PlacedCommand, readStream } from './stream.ts';

export interface Disassembly {
  readonly word: number;
  readonly name: string;
  readonly param: number;
  readonly payload: number | null;
  /** Fields of the param by name, and the payload as `value`. */
  readonly fields: Readonly<Record<string, number | string>>;
}

export function disassemble(words: Uint32Array): readonly Disassembly[] {
  return readStream(words).map((command) => ({ ...command, fields: fieldsOf(command) }));
}

/** Bits that no field has are in `rest`, so that nothing of a word is lost. */
function fieldsOf({ name, param, payload }: Command): Record<string, number | string> {
  const row = rowOf(name);
  const fields: Record<string, number | string> = {};
  let rest = param;
  for (const field of row.fields) {
    const value = fieldValue(field, param);
    rest &= ~(((1 << field.width) - 1) << field.bit);
    // The upper bits of an address are part of it.
    if (field.name === 'high') continue;
    fields[field.name] = field.names?.[value] ?? value;
  }
  if (rest !== 0) fields['rest'] = `0x${rest.toString(16)}`;
  if (payload !== null) {
    const high = row.fields.some((field) => field.name === 'high') ? param & 0xff : 0;
    const value = payload + high * 2 ** 32;
    fields['value'] = row.payload === 'address' ? `0x${value.toString(16)}` : value;
  }
  return fields;
}

export function formatStream(words: Uint32Array): string {
  const commands = readStream(words);
  const summaries = new Map(
    readOperations(commands).map((operation) => [operation.word, summaryOf(operation)]),
  );
  return commands.map((command) => formatCommand(command, summaries.get(command.word))).join('\n');
}

function formatCommand(command: PlacedCommand, summary: string | undefined): string {
  const { word, name, param, payload } = command;
  const row = rowOf(name);
  const code = ((param << 16) | row.code | (payload === null ? 0 : 0x4000)) >>> 0;
  const hex = [code, ...(payload === null ? [] : [payload])].map((value) =>
    value.toString(16).padStart(8, '0'),
  );
  const values = Object.entries(fieldsOf(command)).map(([field, value]) =>
    field === 'value' ? `${value}` : `${field}=${value}`,
  );
  const text = [...values, ...(summary === undefined ? [] : [`; ${summary}`])].join(' ');
  const indent = row.kind === 'operation' ? '' : '  ';
  return `${String(word).padStart(6)}  ${hex.join(' ').padEnd(17)}  ${(indent + name).padEnd(20)} ${text}`.trimEnd();
}

function summaryOf(operation: Operation): string {
  switch (operation.kind) {
    case 'conv':
    case 'depthwise':
    case 'pool': {
      const { kernel, padding } = operation;
      const taps = `kernel ${kernel.height}×${kernel.width} stride ${kernel.strideY}×${kernel.strideX}`;
      const pads = Object.values(padding).some((pad) => pad > 0)
        ? `, padding ${padding.top} ${padding.left} ${padding.bottom} ${padding.right}`
        : '';
      return `${shapes(operation)}, ${taps}${pads}`;
    }
    case 'elementwise':
      return shapes(operation);
    case 'dma': {
      const { source, destination, length } = operation;
      const place = ({ region, address }: typeof source) =>
        `${region === null ? 'SHRAM' : `region ${region}`} + 0x${address.toString(16)}`;
      return `${length} B from ${place(source)} to ${place(destination)}`;
    }
    case 'dma-wait':
      return `until at most ${operation.outstanding} DMA are under way`;
    case 'kernel-wait':
      return `until at most ${operation.outstanding} ops are under way`;
    case 'stop':
    case 'irq':
    case 'pmu-mask':
      return operation.kind;
  }
}

function shapes({ ifm, ofm, block }: Block): string {
  const shape = ({ height, width, depth }: Block['block']) => `${height}×${width}×${depth}`;
  const bits = (map: typeof ifm) => `${map.type.isSigned ? 'int' : 'uint'}${8 * map.type.bytes}`;
  return `${shape(ifm)} ${bits(ifm)} to ${shape(ofm)} ${bits(ofm)}, block ${shape(block)}`;
}
