/** Tensors in memory to and from plain arrays in the order height, width, depth. */
import type { FeatureMap } from '../../ethosu/operations.ts';
import { streamError } from '../../ethosu/stream.ts';
import { checkBounds, checkRead, type Memory, type Space, spaceOf } from './memory.ts';

/** No op of a model that fits a microcontroller comes near. */
const mostElements = 2 ** 24;

/** Values less the zero point; those of 32 bits have none. */
export function readTensor(memory: Memory, map: FeatureMap, word: number): Int32Array {
  const values = new Int32Array(elementsOf(map, word));
  const zeroPoint = map.type.bytes === 4 ? 0 : map.zeroPoint;
  const read = readers[`${map.type.bytes}${map.type.isSigned}`];
  const space = spaceOf(memory, map.region, map.register, word);
  forEachRun(map, (address, count, index) => {
    checkRead(space, address, count * map.type.bytes, map.register, word);
    read(space.bytes, address, count, values, index);
  });
  if (zeroPoint !== 0) for (let i = 0; i < values.length; i++) values[i]! -= zeroPoint;
  return values;
}

/** Values as they are stored. */
export function writeTensor(
  memory: Memory,
  map: FeatureMap,
  values: Int32Array,
  word: number,
): void {
  const { bytes } = map.type;
  const space = spaceOf(memory, map.region, map.register, word);
  forEachRun(map, (address, count, index) => {
    checkBounds(space, address, count * bytes, map.register, word);
    space.isDefined?.fill(1, address, address + count * bytes);
    store(space, address, count, bytes, values, index);
  });
}

export function elementsOf({ height, width, depth, register }: FeatureMap, word: number): number {
  const elements = height * width * depth;
  if (elements <= mostElements) return elements;
  throw streamError(
    word,
    `${register} has ${height} × ${width} × ${depth} elements, more than ${mostElements.toLocaleString('en-US')}`,
  );
}

/** Calls with each run of consecutive elements: its address, its length, its place in the array. */
function forEachRun(
  map: FeatureMap,
  visit: (address: number, count: number, index: number) => void,
): void {
  const { height, width, depth, format, bases, type } = map;
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      const isRight = x >= map.width0;
      const isLower = y >= (isRight ? map.height1 : map.height0);
      const base = bases[(isRight ? 1 : 0) + (isLower ? 2 : 0)]!;
      const localX = isRight ? x - map.width0 : x;
      const localY = isLower ? y - (isRight ? map.height1 : map.height0) : y;
      const row = base + localY * map.strideY;
      const index = (y * width + x) * depth;
      if (format === 'nhwc') {
        visit(row + localX * map.strideX, depth, index);
      } else {
        for (let c = 0; c < depth; c += 16) {
          const address = row + (c / 16) * map.strideC + 16 * localX * type.bytes;
          visit(address, Math.min(16, depth - c), index + c);
        }
      }
    }
  }
}

type Read = (
  bytes: Uint8Array,
  address: number,
  count: number,
  values: Int32Array,
  index: number,
) => void;

const readers: Readonly<Record<`${1 | 2 | 4}${boolean}`, Read>> = {
  '1true': (bytes, address, count, values, index) => {
    for (let i = 0; i < count; i++) values[index + i] = (bytes[address + i]! << 24) >> 24;
  },
  '1false': (bytes, address, count, values, index) => {
    for (let i = 0; i < count; i++) values[index + i] = bytes[address + i]!;
  },
  '2true': (bytes, address, count, values, index) => {
    for (let i = 0; i < count; i++) {
      const at = address + 2 * i;
      values[index + i] = ((bytes[at]! | (bytes[at + 1]! << 8)) << 16) >> 16;
    }
  },
  '2false': (bytes, address, count, values, index) => {
    for (let i = 0; i < count; i++) {
      const at = address + 2 * i;
      values[index + i] = bytes[at]! | (bytes[at + 1]! << 8);
    }
  },
  '4true': readWords,
  '4false': readWords,
};

function readWords(
  bytes: Uint8Array,
  address: number,
  count: number,
  values: Int32Array,
  index: number,
): void {
  for (let i = 0; i < count; i++) {
    const at = address + 4 * i;
    values[index + i] =
      bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);
  }
}

function store(
  { bytes }: Space,
  address: number,
  count: number,
  width: number,
  values: Int32Array,
  index: number,
): void {
  for (let i = 0; i < count; i++) {
    const value = values[index + i]!;
    for (let byte = 0; byte < width; byte++) {
      bytes[address + i * width + byte] = value >> (8 * byte);
    }
  }
}
