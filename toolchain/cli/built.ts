/** Opens what `lm2mcu build` wrote, on the machine the user asked for. */
import { existsSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { type Executor, type ExecutorKind, openExecutor } from '../emulate/executor.ts';
import { parseStoredModel, type RunnableModel, readGraphFile } from '../emulate/stored-model.ts';
import { userError } from '../errors.ts';

/** Throws unless the folder looks like one that a build wrote. */
export function checkBuilt(dir: string): void {
  const stats = statSync(dir, { throwIfNoEntry: false });
  if (stats?.isDirectory() === true && existsSync(join(dir, 'graph.bin'))) return;
  const isModel =
    stats?.isDirectory() === true && readdirSync(dir).some((name) => name === 'config.json');
  throw userError({
    code: 'not-built',
    message: `${JSON.stringify(dir)} ${whatIsWrong(stats, isModel)}`,
    where: dir,
    hint: isModel
      ? `Build it first: lm2mcu build ${dir} --target <board> --out <dir>`
      : 'Give the folder that lm2mcu build wrote (--out).',
  });
}

export function readBuiltModel(dir: string): RunnableModel {
  checkBuilt(dir);
  return parseStoredModel(readGraphFile(join(dir, 'graph.bin')));
}

/** Without `on`: the emulator if the board has one and there is an image, else the interpreter. */
export async function openBuilt(dir: string, on: ExecutorKind | undefined): Promise<Executor> {
  if (on !== undefined) {
    checkBuilt(dir);
    return openExecutor(on, dir);
  }
  const hasEmulator = readBuiltModel(dir).target.emulation !== undefined;
  const hasImage = existsSync(join(dir, 'firmware.elf'));
  return openExecutor(hasEmulator && hasImage ? 'emulator' : 'interpreter', dir);
}

function whatIsWrong(stats: ReturnType<typeof statSync>, isModel: boolean): string {
  if (stats === undefined) return 'does not exist';
  if (!stats.isDirectory()) return 'is a file, not a folder that lm2mcu build wrote';
  if (isModel) return 'is a model, not what lm2mcu build makes of it';
  return 'has no graph.bin';
}
