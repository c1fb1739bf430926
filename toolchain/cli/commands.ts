/** Every subcommand, in the order of the help. */
import { buildCommand } from './build.ts';
import type { Command } from './command.ts';
import { compressCommand } from './compress.ts';
import { designCommand } from './design.ts';
import { doctorCommand } from './doctor.ts';
import { emulateCommand } from './emulate.ts';
import { evalCommand } from './eval.ts';
import { flashCommand } from './flash.ts';
import { inspectCommand } from './inspect.ts';
import { monitorCommand } from './monitor.ts';
import { npuCommand } from './npu.ts';
import { portsCommand } from './ports.ts';
import { reportCommand } from './report.ts';
import { runCommand } from './run.ts';
import { targetsCommand } from './targets.ts';

export const commands: readonly Command[] = [
  buildCommand,
  runCommand,
  evalCommand,
  compressCommand,
  designCommand,
  emulateCommand,
  flashCommand,
  monitorCommand,
  portsCommand,
  reportCommand,
  inspectCommand,
  npuCommand,
  targetsCommand,
  doctorCommand,
];
