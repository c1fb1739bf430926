/** What everything that is compiled for a board has in common, so that images are repeatable. */
import type { Target } from '../targets.ts';

/** Below the deepest use of the stack lies a canary, which must stay whole (startup.c). */
export const stackCanaryBytes = 16;

export function cpuFlags({ core: { gcc } }: Target): readonly string[] {
  return ['-mthumb', `-mcpu=${gcc.cpu}`, `-mfpu=${gcc.fpu}`, `-mfloat-abi=${gcc.floatAbi}`];
}

export function commonFlags(target: Target, outDir: string): readonly string[] {
  return [
    ...cpuFlags(target),
    '-std=gnu11',
    '-g',
    '-Wall',
    '-Wextra',
    '-Wconversion',
    '-ffunction-sections',
    '-fdata-sections',
    '-fno-common',
    '-fno-unwind-tables',
    '-fno-asynchronous-unwind-tables',
    '-fcallgraph-info=su',
    `-ffile-prefix-map=${outDir}=.`,
  ];
}
