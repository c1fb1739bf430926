/** A firmware whose model runs golden jobs of an NPU, one for each token id (golden_model.c). */
import { readFileSync } from 'node:fs';
import type { FirmwareSource } from '../../../toolchain/build/firmware.ts';
import { type Golden, readGolden } from '../../../toolchain/emulate/ethosu/golden.ts';
import { acceleratorOfConfig } from '../../../toolchain/ethosu/accelerators.ts';
import { writePayload } from '../../../toolchain/ethosu/payload.ts';
import { wordsOf } from '../../../toolchain/ethosu/stream.ts';
import { packagePath } from '../../../toolchain/package-root.ts';
import { goldenPlaces } from '../../ethosu/fixtures.ts';

/** Of one accelerator and compiler version, those whose inputs and outputs are known. */
export function goldensOf(set: string): readonly Golden[] {
  return goldenPlaces
    .filter((place) => place.set === set)
    .flatMap((place) => readGolden(place) ?? [])
    .filter(
      ({ inputs, outputs, isWhole }) =>
        isWhole && [...inputs, ...outputs].every(({ bytes }) => bytes !== null),
    );
}

export function goldenSources(goldens: readonly Golden[]): readonly FirmwareSource[] {
  const read = (name: string) => readFileSync(packagePath('test', 'firmware', 'npu', name), 'utf8');
  const most = Math.max(...goldens.map((one) => one.arenaBytes + payloadOf(one).length));
  return [
    { path: 'golden_model.c', content: read('golden_model.c') },
    { path: 'goldens.h', content: read('goldens.h') },
    {
      path: 'lm2mcu_model.h',
      content: `#define LM2MCU_MAX_TOKENS 2\n#define LM2MCU_ARENA_BYTES ${256 + 16 * Math.ceil(most / 16)}\n`,
    },
    { path: 'goldens.c', content: tables(goldens) },
  ];
}

function payloadOf({ config, stream, model }: Golden): Uint8Array {
  const accelerator = acceleratorOfConfig(config);
  if (accelerator === null) throw new Error(`${model} is of an unknown accelerator`);
  return writePayload(accelerator, wordsOf(stream, model));
}

function tables(goldens: readonly Golden[]): string {
  const arrays: string[] = [];
  const array = (name: string, bytes: Uint8Array): string => {
    arrays.push(
      `AS_CONSTANT static const uint8_t ${name}[${Math.max(1, bytes.length)}] = {${bytes.join(',')}};`,
    );
    return name;
  };
  const rows = goldens.map((one, index) => {
    const tensors = (kind: 'inputs' | 'outputs') => {
      const list = one[kind].map(
        ({ offset, bytes }, at) =>
          `{${offset}, ${bytes!.length}, ${array(`${kind}_${index}_${at}`, bytes!)}}`,
      );
      return `${list.length}, (const golden_tensor[]){${list.join(', ')}}`;
    };
    const payload = payloadOf(one);
    const constants = array(`constants_${index}`, one.constants);
    return `  {${array(`payload_${index}`, payload)}, ${payload.length}, ${constants}, ${one.constants.length}, ${one.arenaBytes}, ${tensors('inputs')}, ${tensors('outputs')}},`;
  });
  return [
    '#include "goldens.h"',
    '#define AS_CONSTANT __attribute__((section(".lm2mcu.encoder"), aligned(16)))',
    ...arrays,
    `const uint32_t golden_count = ${goldens.length};`,
    `const golden goldens[] = {\n${rows.join('\n')}\n};`,
  ].join('\n');
}
