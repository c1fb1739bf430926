// `npm test`: sets a fresh checkout up, then formatting and lint, types, and all tests. Arguments go
// to the test runner: npm test -- test/cli
import { node, prepare, run, SetupError } from '../toolchain/cli/setup.js';

process.exitCode = test(process.argv.slice(2));

/** @param {readonly string[]} args */
function test(args) {
  try {
    prepare(['use', 'option', 'test']);
  } catch (error) {
    if (error instanceof SetupError) return 2;
    throw error;
  }
  /** The test runner comes last: its summary is the end of the output. */
  const steps = [
    ['node_modules/@biomejs/biome/bin/biome', 'check', '.'],
    ['node_modules/typescript/bin/tsc', '-p', '.'],
    ['node_modules/vitest/vitest.mjs', 'run', '--config', 'test/vitest.config.ts', ...args],
  ];
  for (const step of steps) {
    const code = run(node, step);
    if (code !== 0) return code;
  }
  return 0;
}
