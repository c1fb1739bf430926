/** Cycles of instructions that `run` counted, as the report of the build estimates them. */

import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { Report } from '../report/schema.ts';
import { readReport } from './built.ts';

export interface Rate {
  /** Waits for flash among them. */
  readonly cyclesPerInstruction: number;
  /** Of a generated token: more, as it reads all weights for one row. */
  readonly cyclesPerTokenInstruction: number;
  /** In which the core waits for the NPU, whose jobs are as long for every text. */
  readonly npuCycles: number;
}

export function rateOf(dir: string): Rate | null {
  return existsSync(join(dir, 'report.json')) ? rateIn(readReport(dir)) : null;
}

export function rateIn({ compute, layers, token }: Report): Rate | null {
  const instructions = layers.reduce((sum, layer) => sum + layer.estimatedInstructions, 0);
  if (instructions === 0) return null;
  const npuCycles = compute.npu?.estimatedCycles ?? 0;
  const cyclesPerInstruction = (compute.estimatedCycles - npuCycles) / instructions;
  return {
    cyclesPerInstruction,
    cyclesPerTokenInstruction:
      token === undefined
        ? cyclesPerInstruction
        : token.estimatedCycles / token.estimatedInstructions,
    npuCycles,
  };
}
