// `npm run bench [name]`: runs one of the benchmarks beside this file, `mcu` if none is named.
import { existsSync } from 'node:fs';
import { node, prepare, run, SetupError } from '../../toolchain/cli/setup.js';

process.exitCode = bench(process.argv[2] ?? 'mcu');

/** @param {string} name */
function bench(name) {
  const file = new URL(`${name}.ts`, import.meta.url);
  if (!existsSync(file)) {
    process.stderr.write(`error: there is no benchmark ${name}; use mcu\n`);
    return 1;
  }
  try {
    prepare(['use']);
  } catch (error) {
    if (error instanceof SetupError) return 2;
    throw error;
  }
  return run(node, [`test/bench/${name}.ts`]);
}
