/** What can go wrong between here and a board; each is an error with advice for the user. */
import { environmentError, type Lm2mcuError, userError } from '../toolchain/errors.ts';

/** Said wherever something was written and then failed. */
const retryHint =
  'Run the same command again: what is already right is kept. No half-written image is started. ' +
  'A bootloader that does not answer then waits for the rest of a command: reset it.';

export function noAnswer(protocol: string, hint: string): Lm2mcuError {
  return environmentError({
    code: 'bootloader-silent',
    message: `no ${protocol} bootloader answers`,
    hint,
  });
}

export function flashFailed(message: string, where: string): Lm2mcuError {
  return environmentError({ code: 'flash-failed', message, where, hint: retryHint });
}

export function verifyFailed(where: string): Lm2mcuError {
  return environmentError({
    code: 'verify-failed',
    message: 'the board does not hold what was written to it',
    where,
    hint: `${retryHint} If it fails at the same place, that memory is write-protected or worn out.`,
  });
}

export function refused(what: string, where: string, hint: string): Lm2mcuError {
  return environmentError({
    code: 'refused',
    message: `the bootloader refuses to ${what}`,
    where,
    hint,
  });
}

export function wrongChip(found: string, expected: string, board: string): Lm2mcuError {
  return userError({
    code: 'wrong-chip',
    message: `the bootloader belongs to another chip: it says ${found}, ${board} has ${expected}`,
    hint: 'Check --port and --target; nothing was written.',
  });
}

export function noWriter(board: string): Lm2mcuError {
  return userError({
    code: 'no-writer',
    message: `the NOR of ${board} needs its writer, and there is none for it beside the image`,
    where: 'writer.bin',
    hint: 'Give the folder that lm2mcu build wrote, or the file in it.',
  });
}

/** `load` is the command that puts the writer into RAM; `only` what the loader does reach. */
export function needsWriter(
  board: string,
  protocol: string,
  load: string,
  only: readonly string[],
): Lm2mcuError {
  const rest = only.map((region) => ` --only ${region}`).join('');
  return userError({
    code: 'needs-writer',
    message: `${protocol} does not reach the NOR of ${board}, where a part of the image lies`,
    hint: [
      'Use a --protocol that writes it (lm2mcu targets), or the writer of the build, in this order:',
      load,
      'lm2mcu flash <build> --only nor --protocol stm32-uart --port <port>',
      `lm2mcu flash <build>${rest} --protocol ${protocol}`,
    ].join('\n        '),
  });
}
