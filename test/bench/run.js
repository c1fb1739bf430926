// `npm run bench [name] [-- options]`: runs one of the benchmarks beside this file, `mcu` if none is
// named.
import { node, prepare, run, SetupError } from '../../toolchain/cli/setup.js';

const [first, ...rest] = process.argv.slice(2);
process.exitCode =
  first === undefined || first.startsWith('-')
    ? bench('mcu', process.argv.slice(2))
    : bench(first, rest);

/**
 * @param {string} name
 * @param {readonly string[]} options
 */
function bench(name, options) {
  if (!['mcu', 'decoder', 'constraint', 'flash', 'wasm', 'npu', 'import'].includes(name)) {
    process.stderr.write(
      `error: there is no benchmark ${name}; use mcu, decoder, constraint, flash, wasm, npu or import\n`,
    );
    return 1;
  }
  try {
    prepare(['use']);
  } catch (error) {
    if (error instanceof SetupError) return 2;
    throw error;
  }
  return run(node, [`test/bench/${name}.ts`, ...options]);
}
