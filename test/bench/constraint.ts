/**
 * `npm run bench constraint`: what a constraint takes of flash, and of the instructions of a generated
 * token on an emulated M4, beside the same model without one; random weights, which make no difference
 * to that. The vocabulary is that of examples/package-writer, or of `--tokenizer tokenizer.json`.
 */
import { copyFileSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import * as z from 'zod';
import { buildFirmware } from '../../toolchain/build/firmware.ts';
import { type ConstraintSource, constraintBytes } from '../../toolchain/constrain/constraint.ts';
import { openQemuConsole } from '../../toolchain/emulate/qemu.ts';
import { packagePath } from '../../toolchain/package-root.ts';
import { compile } from '../../toolchain/pipeline.ts';
import { loadTarget } from '../../toolchain/targets.ts';
import { decodeBpe } from '../../toolchain/tokenizer/bpe/encode.ts';
import { parseBpe } from '../../toolchain/tokenizer/bpe/parse.ts';
import { decoders, writeRandomDecoder } from './decoder-models.ts';

const { values } = parseArgs({
  options: {
    tokenizer: {
      type: 'string',
      default: packagePath('examples', 'package-writer', 'tokenizer.json'),
    },
  },
});

const example = (name: string): string =>
  readFileSync(packagePath('examples', 'constraints', name), 'utf8');
const constraints: Readonly<Record<string, ConstraintSource | undefined>> = {
  none: undefined,
  'any text': { kind: 'pattern', text: '[^]+' },
  'house.commands.txt': { kind: 'commands', text: example('house.commands.txt') },
  'a temperature': { kind: 'pattern', text: '-?\\d{1,2}(\\.\\d)? °[CF]' },
  'house.schema.json': { kind: 'json-schema', text: example('house.schema.json') },
};

const answerSchema = z.object({
  generated: z.array(z.number()),
  text: z.string(),
  instructions: z.object({ generation: z.number() }),
});

const maxTokens = 128;
/** At most so many tokens, the seed 1: likeliest tokens, and of many. */
const samplings = ['#sample 60 0 0 1000 1', '#sample 60 800 40 950 1'];

const folder = mkdtempSync(join(tmpdir(), 'lm2mcu-bench-'));
try {
  const tokenizer = parseBpe(JSON.parse(readFileSync(values.tokenizer, 'utf8')));
  const model = join(folder, 'model');
  const size = { ...decoders.writer, vocabulary: tokenizer.vocabulary.length };
  writeRandomDecoder(model, size, maxTokens);
  rmSync(join(model, 'vocab.txt'));
  copyFileSync(values.tokenizer, join(model, 'tokenizer.json'));
  const config = JSON.parse(readFileSync(join(model, 'config.json'), 'utf8'));
  writeFileSync(join(model, 'config.json'), JSON.stringify({ ...config, eos_token_id: 0 }));
  const texts = tokenizer.vocabulary.map((_, id) => decodeBpe(tokenizer, [id]));
  console.log(
    `${size.vocabulary} tokens, which as a trie of their bytes have ${trieNodes(texts)} nodes`,
  );
  for (const [name, source] of Object.entries(constraints)) await bench(model, name, source);
} finally {
  rmSync(folder, { recursive: true });
}

async function bench(
  modelPath: string,
  name: string,
  constraint: ConstraintSource | undefined,
): Promise<void> {
  const target = loadTarget('mps2-an386');
  const compiled = compile({ modelPath, target, maxTokens, calibration: null, constraint });
  const { sources, placement } = compiled;
  const outDir = join(folder, name.replaceAll(/\W/g, '-'));
  const { emulatorElfPath } = await buildFirmware({
    ...{ target, sources, placement, outDir, optimisation: 'O2' },
  });
  const bytes = compiled.constraint === undefined ? 0 : constraintBytes(compiled.constraint);
  const states = compiled.constraint?.rows.length ?? 0;
  console.log(`${name}: ${bytes.toLocaleString('en-US')} B, ${states} states`);
  const board = await openQemuConsole({ target, elfPath: emulatorElfPath! });
  try {
    for (const sampling of samplings) {
      await board.ask(sampling);
      const { generated, text, instructions } = answerSchema.parse(
        JSON.parse(await board.ask('the house says')),
      );
      const each = Math.round(instructions.generation / generated.length).toLocaleString('en-US');
      console.log(
        `  ${each} instructions a token, of ${generated.length}: ${JSON.stringify(text)}`,
      );
    }
  } finally {
    await board.close();
  }
}

/** An automaton over bytes would walk them at every token. */
function trieNodes(texts: readonly Uint8Array[]): number {
  const starts = new Set<string>();
  for (const text of texts) {
    const whole = Buffer.from(text).toString('latin1');
    for (let end = 1; end <= whole.length; end++) starts.add(whole.slice(0, end));
  }
  return starts.size;
}
