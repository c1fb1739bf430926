/** Each message of the command line, as text and as JSON, in `errors.txt`. */
import { cpSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Printed } from '../../toolchain/cli/answer.ts';
import { packagePath } from '../../toolchain/package-root.ts';
import { lm2mcu, lm2mcuHere, temporaryFolder } from './lm2mcu.ts';

const folder = temporaryFolder();
const write = (name: string, content: string | Uint8Array) =>
  writeFileSync(join(folder.path, name), content);

beforeAll(async () => {
  cpSync(packagePath('test', 'fixtures', 'hf', 'seqcls-gelu'), join(folder.path, 'model'), {
    recursive: true,
  });
  cpSync(packagePath('test', 'fixtures', 'decoders', 'gpt2'), join(folder.path, 'decoder'), {
    recursive: true,
  });
  cpSync(packagePath('test', 'fixtures', 'decoders', 'llama'), join(folder.path, 'rotary'), {
    recursive: true,
  });
  for (const name of [
    'empty',
    'theirs',
    'damaged',
    'no-report',
    'bad-manifest',
    'old-arm/Source',
  ]) {
    mkdirSync(join(folder.path, name), { recursive: true });
  }
  const contract = packagePath('test', 'cmsis-nn', 'contract');
  cpSync(join(contract, 'Include'), join(folder.path, 'headers', 'Include'), { recursive: true });
  cpSync(join(contract, 'Include'), join(folder.path, 'old-arm', 'Include'), { recursive: true });
  cpSync(
    join(contract, 'Source', 'arm_softmax_s8.c'),
    join(folder.path, 'old-arm', 'Source', 'arm_softmax_s8.c'),
  );
  write('theirs/thesis.txt', 'years of work');
  write('damaged/graph.bin', 'lm2mcu');
  write('damaged/report.json', '{"version": 1');
  write('no-report/graph.bin', 'lm2mcu');
  write('bad-manifest/manifest.json', '{}');
  write('no-schema.json', 'not json\n');
  write('a-file', '');
  write('empty.jsonl', '\n\n');
  write('not-json.jsonl', '{"text": "one"}\n{"text": "two"\n');
  write('no-text.jsonl', '{"text": "one"}\n\n{"label": "a"}\n');
  write('good.jsonl', '{"text": "one", "label": "a"}\n');
  const lines = (count: number, line: (index: number) => object): string =>
    Array.from({ length: count }, (_, index) => `${JSON.stringify(line(index))}\n`).join('');
  write(
    'other-labels.jsonl',
    lines(1, () => ({ text: 'one', label: 'zebra' })),
  );
  write(
    'good-labels.jsonl',
    lines(3, () => ({ text: 'one', label: '0' })),
  );
  write(
    'empty-texts.jsonl',
    lines(40, () => ({ text: '' })),
  );
  write(
    'labelled.jsonl',
    lines(40, (index) => ({ text: `word ${index} of many`, label: String(index % 2) })),
  );
  write('a-number.jsonl', '{"text": 3}\n');
  write('a-list.jsonl', '["one"]\n');
  write('latin1.jsonl', Uint8Array.of(0x7b, 0xe9, 0x7d));
  write('board.json', '{"name": "mine"');
  write('good.hex', ':020000040800F2\n:0400000001020304F2\n:00000001FF\n');
  write('ram.hex', ':020000042000DA\n:0400000001020304F2\n:00000001FF\n');
  write('damaged.hex', ':020000040800F2\n:0400000001020305F2\n');
  write('raw.bin', 'abcd');
  write('cut.cms.bin', Uint8Array.of(0x0f, 0x01, 0x01, 0x00, 0x00, 0x40, 0x00, 0x00));
  write('damaged.payload', 'COP1\x09\0\0\0');
  const library = ['build', 'decoder', '--target', 'mps2-an386', '--emit', 'library'];
  const args = [...library, '--max-tokens', '20', '--out', 'built-decoder', '--json'];
  const { code, stderr } = await lm2mcu(args, folder.path);
  expect(code, stderr).toBe(0);
}, 120_000);
afterAll(folder.remove);

const build = ['build', 'model', '--target', 'mps2-an386'];
const compress = ['compress', 'model', '--target', 'mps2-an386', '--max-tokens', '16', '--data'];
const damaged = ['run', 'damaged', '--text', 'x'];
const design = ['design', '--target', 'nrf52840-dk'];
const nucleo = ['--target', 'nucleo-f446re'];
const arm = ['--kernels', 'cmsis-nn'];
const cases: Readonly<Record<string, readonly string[]>> = {
  'no command': [],
  'no such command': ['bild', 'model'],
  'no such flag': [...build, '--max-token', '64'],
  'a flag of another command': ['inspect', 'model', '--target', 'mps2-an386'],
  'no operand': ['build', '--target', 'mps2-an386'],
  'no required flag': ['build', 'model'],
  'a flag without its value': ['run', 'damaged', '--text'],
  'a value that is none of the choices': ['run', 'damaged', '--text', 'x', '--on', 'moon'],
  'too many operands': ['targets', 'one', 'two'],
  'no such board': ['build', 'model', '--target', 'stm32f746g'],
  'a library of a module': ['build', 'model', '--target', 'wasm', '--emit', 'library'],
  'Arm’s kernels in a module': ['build', 'model', '--target', 'wasm', ...arm],
  'a module onto a board': ['flash', 'raw.bin', '--target', 'wasm'],
  'no such board at all': ['targets', 'zx-spectrum'],
  'a board file that is not JSON': ['targets', 'board.json'],
  'no model there': ['build', 'nowhere', '--target', 'mps2-an386'],
  'a name of the hub': ['inspect', 'google/bert'],
  'an arena that no plan fits': [...build, '--max-tokens', '40', '--max-arena', '500'],
  'an arena for fewer tokens': [...build, '--max-tokens', '40', '--max-arena', '1800'],
  'the fastest plan in too little RAM': [
    ...build,
    '--max-tokens',
    '40',
    '--plan',
    'fastest',
    '--max-arena',
    '1800',
  ],
  'an arena of no size': [...build, '--max-arena', '0'],
  'too many tokens': [...build, '--max-tokens', '100000'],
  'a number of tokens that is none': [...build, '--max-tokens', 'many'],
  'a list of commands that is not there': [...build, '--commands', 'nowhere.txt'],
  'a schema that is not there': [...build, '--json-schema', 'nowhere.json'],
  'a schema that is not JSON': [
    ...['build', 'decoder', '--target', 'mps2-an386', '--json-schema', 'no-schema.json'],
  ],
  'two constraints': [...build, '--commands', 'nowhere.txt', '--pattern', 'a'],
  'a constraint of a model that does not generate': [...[...build, '--pattern', 'a']],
  'a cache of no policy': [...build, '--cache', 'windows:28'],
  'a number that a cache policy has not': [...build, '--cache', 'window:64,sink:4'],
  'a cache of no tokens': [...build, '--cache', 'window:0'],
  'a cache policy without one of its numbers': [...build, '--cache', 'heavy:28'],
  'a cache beyond learned positions': [
    ...['build', 'decoder', '--target', 'mps2-an386', '--max-tokens', '4000'],
    ...['--cache', 'window:12'],
  ],
  'a cache with sinks beyond the context': [
    ...['build', 'rotary', '--target', 'mps2-an386', '--max-tokens', '4000'],
    ...['--cache', 'window:12'],
  ],
  'a cache that an encoder has no use for': [
    ...[...build, '--max-tokens', '16'],
    ...['--cache', 'window:12,sinks:2'],
  ],
  'a cache that never drops anything': [
    ...['build', 'decoder', '--target', 'mps2-an386', '--max-tokens', '16'],
    ...['--cache', 'window:12,sinks:4'],
  ],
  'no recipe there': [...build, '--recipe', 'nowhere.json'],
  'no data there': [...build, '--calibrate', 'nowhere.jsonl'],
  'data that are a folder': [...build, '--calibrate', 'empty'],
  'data without a text': [...build, '--calibrate', 'empty.jsonl'],
  'a line that is not JSON': [...build, '--calibrate', 'not-json.jsonl'],
  'a line without text': [...build, '--calibrate', 'no-text.jsonl'],
  'a text that is a number': [...build, '--calibrate', 'a-number.jsonl'],
  'a line that is a list': [...build, '--calibrate', 'a-list.jsonl'],
  'data that are not UTF-8': [...build, '--calibrate', 'latin1.jsonl'],
  'a library of kernels that is not there': [...build, '--kernels', 'cmsis-nn'],
  'a library of kernels that is not asked for': [...build, '--cmsis-nn', 'headers'],
  'a library in no folder': [...build, ...arm, '--cmsis-nn', 'nowhere'],
  'a library without its interface': [...build, ...arm, '--cmsis-nn', 'empty'],
  'a library without sources': [...build, ...arm, '--cmsis-nn', 'headers'],
  'a library that is too old': [...build, ...arm, '--cmsis-nn', 'old-arm'],
  'more tokens than its softmax takes': [
    ...[...build, ...arm, '--emit', 'library'],
    ...['--max-tokens', '512'],
  ],
  'out is a file': [...build, '--out', 'a-file'],
  'out holds files of the user': [...build, '--out', 'theirs'],
  'out is the current folder': [...build, '--out', '.'],
  'out has a manifest of someone else': [...build, '--out', 'bad-manifest'],
  'out lies in a file': [...build, '--out', 'a-file/out'],
  'run of no folder': ['run', 'nowhere', '--text', 'x'],
  'run of a file': ['run', 'a-file', '--text', 'x'],
  'run of a model': ['run', 'model', '--text', 'x'],
  'run of an empty folder': ['run', 'empty', '--text', 'x'],
  'run of an empty prompt': ['run', 'built-decoder', '--text=', '--on', 'interpreter'],
  'a temperature that is no number': [...damaged, '--temperature', 'hot'],
  'a temperature that is too high': [...damaged, '--temperature', '2000'],
  'a number of new tokens that is none': [...damaged, '--max-new', 'many'],
  'a seed that is none': [...damaged, '--seed', 'x'],
  'a number of likeliest tokens that is none': [...damaged, '--top-k', 'x'],
  'a share that is none': [...damaged, '--top-p', 'x'],
  'run of a damaged build': damaged,
  'compress on a label that the model does not have': [...compress, 'other-labels.jsonl'],
  'compress on too few texts': [...compress, 'good-labels.jsonl'],
  'compress on empty texts': [...compress, 'empty-texts.jsonl'],
  'compress by no number of points': [...compress, 'labelled.jsonl', '--max-accuracy-drop', '-1'],
  'compress on too few texts to measure': [...compress, 'labelled.jsonl', '--texts', '3'],
  'compress into no number of bytes': [...compress, 'labelled.jsonl', '--flash-budget', '0.5'],
  'compress into less than there can be': [...compress, 'labelled.jsonl', '--flash-budget', '9000'],
  'compress by no rise of perplexity': [
    ...compress,
    'labelled.jsonl',
    '--max-perplexity-rise',
    '-1',
  ],
  'compress an encoder by its perplexity': [
    ...[...compress, 'labelled.jsonl', '--max-perplexity-rise', '2'],
  ],
  'compress a decoder by its accuracy': [
    ...['compress', 'decoder', '--target', 'mps2-an386', '--max-tokens', '16'],
    ...['--data', 'labelled.jsonl', '--max-accuracy-drop', '1'],
  ],
  'a design of no tokens': [...design, '--vocab', '0'],
  'a design of no speed': [...design, '--tokens-per-second', '-1'],
  'a design into less flash than there can be': [...design, '--flash-budget', '60000'],
  'the score of no decoder': [...design, '--score', 'nowhere.json'],
  'the score of an encoder': [...design, '--score', 'model/config.json'],
  'eval of a damaged build': ['eval', 'damaged', '--data', 'good.jsonl'],
  'a price without the model': ['eval', 'damaged', '--data', 'good.jsonl', '--price'],
  'eval of no text': ['eval', 'damaged', '--data', 'good.jsonl', '--limit', '0'],
  'flash of nothing': ['flash', 'nowhere'],
  'flash of a model': ['flash', 'model'],
  'flash of a damaged build': ['flash', 'damaged'],
  'flash of a file for no board': ['flash', 'good.hex'],
  'flash of a file that is not there': ['flash', 'none.hex', ...nucleo],
  'flash of a damaged file': ['flash', 'damaged.hex', ...nucleo],
  'flash of a file that is no image': ['flash', 'good.jsonl', ...nucleo],
  'flash into RAM': ['flash', 'ram.hex', ...nucleo, '--protocol', 'drive', '--dry-run'],
  'flash of an emulated board': ['flash', 'good.hex', '--target', 'mps2-an386'],
  'flash in a way the board has not': ['flash', 'good.hex', ...nucleo, '--protocol', 'ymodem'],
  'flash without a port': ['flash', 'good.hex', ...nucleo, '--protocol', 'stm32-uart'],
  'flash at a port that is not there': [
    ...['flash', 'good.hex', ...nucleo, '--port', '/dev/ttyNONE', '--dry-run'],
  ],
  'flash at no address': ['flash', 'raw.bin', ...nucleo, '--address', '12'],
  'flash at no speed': ['flash', 'good.hex', ...nucleo, '--protocol', 'drive', '--baud', 'fast'],
  'flash by unknown signals': [
    'flash',
    'good.hex',
    ...nucleo,
    '--protocol',
    'drive',
    '--signals',
    'rts',
  ],
  'flash saved in no form': ['flash', 'good.hex', ...nucleo, '--save', 'firmware.doc'],
  'flash to a folder that is no drive': ['flash', 'good.hex', ...nucleo, '--port', 'empty'],
  'inspect of a stream that is cut off': ['inspect', 'cut.cms.bin'],
  'inspect of a damaged payload': ['inspect', 'damaged.payload'],
  'check of a folder without streams': ['npu', 'check', 'empty'],
  'monitor of no port': ['monitor'],
  'monitor of a file': ['monitor', '--port', 'a-file'],
  'monitor for no time': ['monitor', '--port', 'x', '--for', '0'],
  'report of an empty folder': ['report', 'empty'],
  'report of a damaged build': ['report', 'damaged'],
  'report of a build without one': ['report', 'no-report'],
};

test('every message is as written down', async () => {
  const texts: string[] = [];
  for (const [name, args] of Object.entries(cases)) {
    const { text, json } = await lm2mcuHere(args, folder.path);
    expect(text.stdout, name).toBe('');
    expect(text.code, name).toBeGreaterThan(0);
    texts.push(`== ${name}\n$ lm2mcu ${args.join(' ')}\n${messageOf(text)}${json.stdout}`);
  }
  const golden = packagePath('test', 'cli', 'errors.txt');
  const actual = `${texts.join('\n')}`;
  if (process.env['BLESS'] === '1') writeFileSync(golden, actual);
  expect(actual, 'BLESS=1 rewrites test/cli/errors.txt').toBe(readFileSync(golden, 'utf8'));
}, 300_000);

/** Of each kind of failure one: of the parser, of a command at once, of one at work, of the host. */
test.each([
  'no such flag',
  'out holds files of the user',
  'too many tokens',
  'flash at a port that is not there',
])('a process says the same: %s', async (name) => {
  const args = cases[name]!;
  const { text, json } = await lm2mcuHere(args, folder.path);
  const asText = await lm2mcu(args, folder.path);
  expect([asText.stdout, asText.code]).toEqual(['', text.code]);
  expect(asText.stderr.endsWith(text.stderr)).toBe(true);
  const asJson = await lm2mcu([...args, '--json'], folder.path);
  expect([asJson.stdout, asJson.code]).toEqual([json.stdout, json.code]);
});

function messageOf({ stderr, code }: Printed): string {
  return `${stderr}exit code ${code}\n`;
}

describe('JSON', () => {
  test('an error is one object with the fields that apply', async () => {
    const { stdout } = await lm2mcu([...build, '--out', 'theirs', '--json'], folder.path);
    expect(stdout.trimEnd()).not.toContain('\n');
    expect(Object.keys(JSON.parse(stdout).error)).toEqual(['code', 'message', 'where', 'hint']);
  });

  test('the user’s file is still there', () => {
    expect(readFileSync(join(folder.path, 'theirs', 'thesis.txt'), 'utf8')).toBe('years of work');
    rmSync(join(folder.path, 'theirs'), { recursive: true });
  });
});
