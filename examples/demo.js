// `npm run demo`: from a model folder to a label, the whole road of a board: build, flash the board
// over its serial port, ask its firmware. The board is emulated, with a bootloader and with flash
// that QEMU keeps in a file; a second run flashes only what changed.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { node, prepare, root, run, SetupError } from '../toolchain/cli/setup.js';

const example = 'examples/debian-sections';
const board = 'ast1030-evb';
const sentence = 'a puzzle game with falling blocks';
const texts = 'build/demo-texts.jsonl';
const model = 'build/demo-model';
const out = 'build/demo';

process.exitCode = await demo();

async function demo() {
  try {
    prepare(['use']);
  } catch (error) {
    if (error instanceof SetupError) return 2;
    throw error;
  }
  // The line is as slow as a real one: the words of some texts instead of all 30,522.
  const calibration = `${example}/calibration.jsonl`;
  writeTexts(calibration);
  const trim = ['examples/trim-vocabulary.ts', `${example}/model`, texts, model];
  return (
    step('node', trim, () => run(node, trim)) ||
    lm2mcu(['build', model, '--target', board, '--calibrate', calibration, '--out', out]) ||
    (await withBoard(
      (port) =>
        lm2mcu(['flash', out, '--port', port]) ||
        lm2mcu(['run', out, '--on', port, '--text', sentence]),
    ))
  );
}

/** @param {string} calibration */
function writeTexts(calibration) {
  const lines = readFileSync(join(root, calibration), 'utf8').split('\n').slice(0, 60);
  mkdirSync(join(root, dirname(texts)), { recursive: true });
  writeFileSync(join(root, texts), [...lines, JSON.stringify({ text: sentence }), ''].join('\n'));
}

/**
 * @param {(port: string) => number} use
 * @returns {Promise<number>}
 */
async function withBoard(use) {
  const args = ['emulate', out];
  const emulator = step('npx lm2mcu', [...args, '&'], () =>
    spawn(node, ['toolchain/cli/lm2mcu.js', ...args, '--json'], {
      cwd: root,
      stdio: ['ignore', 'pipe', 'inherit'],
    }),
  );
  const ended = once(emulator, 'close');
  const said = await Promise.race([
    once(createInterface({ input: emulator.stdout }), 'line'),
    ended.then(() => ['{}']),
  ]);
  const facts = JSON.parse(String(said[0]));
  if (facts.port === undefined) return emulator.exitCode ?? 1;
  process.stderr.write(`port ${facts.port}\n`);
  const code = use(facts.port);
  emulator.kill('SIGTERM');
  await ended;
  return code;
}

/** @param {readonly string[]} args */
function lm2mcu(args) {
  return step('npx lm2mcu', args, () => run(node, ['toolchain/cli/lm2mcu.js', ...args]));
}

/**
 * Says what it does.
 * @template T
 * @param {string} command
 * @param {readonly string[]} args
 * @param {() => T} act
 */
function step(command, args, act) {
  const shown = args.map((arg) => (/\s/.test(arg) ? JSON.stringify(arg) : arg));
  process.stderr.write(`\n$ ${command} ${shown.join(' ')}\n`);
  return act();
}
