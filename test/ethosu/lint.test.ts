/** Each rule fires alone on a golden stream that was broken for it. */
import { expect, test } from 'vitest';
import { acceleratorOf } from '../../toolchain/ethosu/accelerators.ts';
import { type LintRule, lint, lintRules } from '../../toolchain/ethosu/lint.ts';
import type { Command, CommandName } from '../../toolchain/ethosu/registers.ts';
import { type PlacedCommand, readStream, writeStream } from '../../toolchain/ethosu/stream.ts';
import { goldens, streamOf } from './fixtures.ts';

type Edit = (commands: readonly PlacedCommand[]) => readonly Command[];

/** Of the `which`-th command of a name. */
const change =
  (name: CommandName, edit: (command: Command) => readonly Command[], which = 0): Edit =>
  (commands) => {
    const places = commands.flatMap((command, index) => (command.name === name ? [index] : []));
    const place = places[which];
    if (place === undefined) throw new Error(`the stream has no ${which}th ${name}`);
    return commands.flatMap((command, index) => (index === place ? edit(command) : [command]));
  };
const setParam = (name: CommandName, param: number, which?: number) =>
  change(name, (command) => [{ ...command, param }], which);
const setPayload = (name: CommandName, payload: number, which?: number) =>
  change(name, (command) => [{ ...command, payload }], which);
const leaveOut = (name: CommandName, which?: number) => change(name, () => [], which);

const old = 'vela-3.12.0/ethos-u55-128';
const recent = 'vela-5.1.0/ethos-u55-128';
const large = 'vela-5.1.0/ethos-u55-256';

/** What is broken, in which stream, and how. */
const cases: readonly (readonly [LintRule, string, string, string, Edit])[] = [
  ['stop', 'no stop', recent, 'fc_64x32', leaveOut('NPU_OP_STOP')],
  ['stop', 'another mask', recent, 'fc_64x32', setParam('NPU_OP_STOP', 1)],
  [
    'stop',
    'a command behind it',
    recent,
    'fc_64x32',
    (commands) => [...commands, { name: 'NPU_OP_IRQ', param: 1, payload: null }],
  ],
  ['register-not-set', 'no accumulator format', recent, 'fc_64x32', leaveOut('ACC_FORMAT')],
  ['register-not-set', 'no DMA length', recent, 'logistic', leaveOut('DMA0_LEN')],
  ['register-not-set', 'no second region', old, 'mul', leaveOut('IFM2_REGION')],
  ['precision', 'clip range without a table', recent, 'fc_64x32', setParam('ACTIVATION', 3 << 12)],
  ['precision', 'an empty clip range', recent, 'fc_64x32', setParam('ACTIVATION_MIN', 128)],
  ['precision', 'operands of two types', old, 'mul', setParam('IFM2_PRECISION', 0)],
  [
    'block',
    'half a micro block',
    large,
    'conv3x3_same_10x10x8_16',
    setParam('OFM_BLK_WIDTH_M1', 2),
  ],
  ['block', 'depth of 24 of 32', recent, 'fc_64x32', setParam('OFM_BLK_DEPTH_M1', 23)],
  ['shram', 'input too small', recent, 'fc_64x32', setParam('IFM_IB_END', 4)],
  ['shram', 'accumulators too high', recent, 'fc_64x32', setParam('AB_START', 16)],
  ['shram', 'a larger block', recent, 'conv1x1_8x8x16_32_relu', setParam('OFM_BLK_HEIGHT_M1', 31)],
  ['shram', 'the second input', old, 'mul', setParam('IFM2_IB_START', 4)],
  ['alignment', 'weights', recent, 'fc_64x32', setPayload('WEIGHT_BASE', 312)],
  ['alignment', 'scale length', recent, 'fc_64x32', setPayload('SCALE_LENGTH', 312)],
  ['alignment', 'a DMA source', recent, 'logistic', setPayload('DMA0_LEN', 248)],
  ['bounds', 'output', recent, 'fc_64x32', setPayload('OFM_BASE0', 80)],
  ['bounds', 'weights', recent, 'fc_64x32', setPayload('WEIGHT_LENGTH', 1840)],
  ['bounds', 'a region that is not there', recent, 'fc_64x32', setParam('SCALE_REGION', 7)],
  ['dma-wait', 'a table used at once', recent, 'logistic', leaveOut('NPU_OP_DMA_WAIT')],
  [
    'kernel-wait',
    'a table replaced in use',
    recent,
    'logistic',
    (commands) => {
      const stop = commands.findIndex(({ name }) => name === 'NPU_OP_STOP');
      const dma: Command = { name: 'NPU_OP_DMA_START', param: 0, payload: null };
      return [...commands.slice(0, stop), dma, ...commands.slice(stop)];
    },
  ],
  ['blockdep', 'input made by the op before', recent, 'softmax_1x16', setParam('BLOCKDEP', 3)],
];

test.each(cases.map(([rule, what, ...rest]) => [`${rule}: ${what}`, rule, ...rest] as const))(
  '%s',
  (_name, rule, set, model, edit) => {
    const words = writeStream(edit(readStream(streamOf(set, model))));
    const rules = findings(set, model, words).map((finding) => finding.rule);
    expect(new Set(rules)).toEqual(new Set([rule]));
  },
);

test('every rule has such a stream', () => {
  expect(new Set(cases.map(([rule]) => rule))).toEqual(new Set(Object.keys(lintRules)));
});

test('the unbroken streams break none', () => {
  for (const [, , set, model] of cases) {
    expect(findings(set, model, streamOf(set, model))).toEqual([]);
  }
});

test('a finding says where and how much', () => {
  const edit = setPayload('OFM_BASE0', 80);
  const words = writeStream(edit(readStream(streamOf(recent, 'fc_64x32'))));
  expect(findings(recent, 'fc_64x32', words)).toEqual([
    { rule: 'bounds', word: 72, message: 'OFM goes to byte 112 of region 1, which has 96' },
  ]);
});

function findings(set: string, model: string, words: Uint32Array) {
  const golden = goldens.find((of) => of.set === set && of.model === model)!;
  const regionBytes = [golden.constants.length, golden.arenaBytes];
  return lint(words, acceleratorOf(set.split('/')[1]!), { regionBytes });
}
