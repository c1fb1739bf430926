/** Handing over to a debug probe's own tool, where the user has installed it. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { assertExhaustive, environmentError } from '../toolchain/errors.ts';
import { hexWord } from '../toolchain/integers.ts';
import { flashFailed } from './failures.ts';
import type { Flashed, Report } from './job.ts';

export type ProbeTool =
  | { readonly protocol: 'probe-rs'; readonly chip: string }
  | { readonly protocol: 'openocd'; readonly scripts: readonly string[] };

/** The command lines, in order; `file` is Intel HEX. */
export function probeCommands(tool: ProbeTool, file: string): readonly (readonly string[])[] {
  switch (tool.protocol) {
    case 'probe-rs': {
      const chip = ['--chip', tool.chip];
      return [
        ['probe-rs', 'download', ...chip, '--binary-format', 'hex', '--verify', file],
        ['probe-rs', 'reset', ...chip],
      ];
    }
    case 'openocd': {
      const scripts = tool.scripts.flatMap((script) => ['-f', script]);
      return [['openocd', ...scripts, '-c', `program {${file}} verify reset exit`]];
    }
    default:
      return assertExhaustive(tool);
  }
}

/** What puts the writer into RAM and starts it; the vectors say where. */
export function writerCommand(scripts: readonly string[], writer: Uint8Array): string {
  const vectors = new DataView(writer.buffer, writer.byteOffset);
  const [stack, entry] = [vectors.getUint32(0, true), vectors.getUint32(4, true) & ~1];
  const steps = [
    ...['init', 'reset halt', 'load_image <build>/writer.elf'],
    ...[`reg sp ${hexWord(stack)}`, `resume ${hexWord(entry)}`, 'exit'],
  ];
  return [
    'openocd',
    ...scripts.map((script) => `-f ${script}`),
    ...steps.map((step) => `-c "${step}"`),
  ].join(' ');
}

export async function flashByProbe(
  tool: ProbeTool,
  file: string,
  imageBytes: number,
  report: Report,
): Promise<Flashed> {
  for (const [command, ...args] of probeCommands(tool, file)) {
    report(`${command} ${args[0]}`);
    await run(command!, args);
  }
  return {
    verifiedBy: tool.protocol,
    bytesWritten: imageBytes,
    bytesKept: 0,
    repeats: 0,
    started: true,
  };
}

const installHints: Readonly<Record<ProbeTool['protocol'], string>> = {
  'probe-rs': 'Install it (https://probe.rs), or use another --protocol.',
  openocd:
    'Install it (apt-get install openocd, brew install open-ocd), or use another --protocol.',
};

async function run(command: string, args: readonly string[]): Promise<void> {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  let said = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      said = (said + text).slice(-4000);
    });
  }
  const [code] = await once(child, 'close').catch((cause: NodeJS.ErrnoException) => {
    if (cause.code !== 'ENOENT') throw cause;
    throw environmentError({
      code: 'no-probe-tool',
      message: `${command} is not installed`,
      hint: installHints[command as ProbeTool['protocol']],
    });
  });
  if (code === 0) return;
  const lines = said.split('\n').filter((line) => line.trim() !== '');
  throw flashFailed(
    `${command} failed (exit code ${code}):\n${lines
      .slice(-5)
      .map((line) => `    ${line}`)
      .join('\n')}`,
    [command, ...args].join(' '),
  );
}
