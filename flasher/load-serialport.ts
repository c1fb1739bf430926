/** Loads the npm package `serialport`, or says how to do without it. */
import { environmentError } from '../toolchain/errors.ts';

export async function loadSerialPort(): Promise<typeof import('serialport')> {
  try {
    return await import('serialport');
  } catch (cause) {
    const error = environmentError({
      code: 'no-serialport',
      message: 'the npm package serialport cannot be loaded on this host',
      where: cause instanceof Error ? cause.message.split('\n')[0]! : String(cause),
      hint: 'npm install serialport; or flash with --protocol drive, probe-rs or openocd.',
    });
    error.cause = cause;
    throw error;
  }
}
