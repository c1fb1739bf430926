// `npm run demo`: from a model folder to a label that firmware on an emulated STM32F746 found.
import { node, prepare, run, SetupError } from '../toolchain/cli/setup.js';

const example = 'examples/debian-sections';
const sentence = 'a puzzle game with falling blocks';
const out = 'build/demo';

process.exitCode = demo();

function demo() {
  try {
    prepare(['use']);
  } catch (error) {
    if (error instanceof SetupError) return 2;
    throw error;
  }
  const built = lm2mcu([
    ...['build', `${example}/model`, '--target', 'stm32f746g-disco'],
    ...['--calibrate', `${example}/calibration.jsonl`, '--out', out],
  ]);
  return built === 0 ? lm2mcu(['run', out, '--text', sentence]) : built;
}

/** @param {readonly string[]} args */
function lm2mcu(args) {
  const shown = args.map((arg) => (/\s/.test(arg) ? JSON.stringify(arg) : arg));
  process.stderr.write(`\n$ npx lm2mcu ${shown.join(' ')}\n`);
  return run(node, ['toolchain/cli/lm2mcu.js', ...args]);
}
