/** What changed from one report to another: sizes, compute, and layers by name. */

import { escapeMarkdown, table } from './markdown.ts';
import { grouped, regionState } from './numbers.ts';
import type { Report } from './schema.ts';
import { painter, printable, shorten, type TextOptions } from './text.ts';

export interface Change {
  readonly name: string;
  readonly unit: 'B' | 'MACs' | 'instructions' | 'cycles';
  /** Null: only the other report has it. */
  readonly before: number | null;
  readonly after: number | null;
}

export interface ReportDiff {
  readonly before: string;
  readonly after: string;
  /** Both plans in words; null where they are the same. */
  readonly plan: { readonly before: string; readonly after: string } | null;
  /** Every total, changed or not. */
  readonly totals: readonly Change[];
  /** Layers whose cycles or weights changed. */
  readonly layers: readonly Change[];
  /** Regions that fit before and do not now. */
  readonly broken: readonly string[];
}

export function diffReports(before: Report, after: Report): ReportDiff {
  return {
    before: titleOf(before),
    after: titleOf(after),
    plan:
      before.plan.text === after.plan.text
        ? null
        : { before: before.plan.text, after: after.plan.text },
    totals: pair(totalsOf(before), totalsOf(after)),
    layers: pair(layersOf(before), layersOf(after)).filter(
      (change) => change.before !== change.after,
    ),
    broken: after.regions
      .filter((region) => !regionState(region).fits)
      .filter(({ name }) =>
        before.regions.some((one) => one.name === name && regionState(one).fits),
      )
      .map(({ name }) => name),
  };
}

function titleOf({ model, target, maxTokens }: Report): string {
  return `${model.name} on ${target.name}, ${maxTokens} tokens`;
}

interface Quantity {
  readonly name: string;
  readonly unit: Change['unit'];
  readonly value: number;
}

function totalsOf(report: Report): readonly Quantity[] {
  const { flash, sram, compute } = report;
  const rows: readonly (readonly [string, Change['unit'], number | null])[] = [
    ['flash', 'B', flash.usedBytes],
    ['flash: code', 'B', flash.codeBytes],
    ['flash: encoder weights', 'B', flash.encoderBytes],
    ['flash: embedding tables', 'B', flash.embeddingBytes],
    ['flash: tokenizer', 'B', flash.tokenizerBytes],
    ['flash: constraint', 'B', flash.constraintBytes ?? null],
    ['flash: other', 'B', flash.otherBytes],
    ['RAM peak', 'B', sram.peakBytes],
    ['RAM: arena', 'B', sram.arenaBytes],
    ['RAM: static', 'B', sram.staticBytes],
    ['RAM: stack', 'B', sram.stackBytes],
    ['compute', 'MACs', compute.macs],
    ['compute (estimate)', 'instructions', compute.estimatedInstructions],
    ['compute (estimate)', 'cycles', compute.estimatedCycles],
  ];
  return rows.flatMap(([name, unit, value]) => (value === null ? [] : [{ name, unit, value }]));
}

/** A name used twice counts together. */
function layersOf({ layers }: Report): readonly Quantity[] {
  return layers.flatMap(({ name, estimatedCycles, weightBytes }) => [
    { name, unit: 'cycles', value: estimatedCycles },
    { name, unit: 'B', value: weightBytes },
  ]);
}

function pair(before: readonly Quantity[], after: readonly Quantity[]): readonly Change[] {
  const changes = new Map<string, { -readonly [K in keyof Change]: Change[K] }>();
  for (const [side, list] of [['before', before] as const, ['after', after] as const]) {
    for (const { name, unit, value } of list) {
      const key = `${unit} ${name}`;
      const change = changes.get(key) ?? { name, unit, before: null, after: null };
      change[side] = (change[side] ?? 0) + value;
      changes.set(key, change);
    }
  }
  return [...changes.values()];
}

export function renderDiffText(diff: ReportDiff, { color = false }: TextOptions = {}): string {
  const paint = painter(color);
  const rows = (list: readonly Change[]): string[] =>
    list.map((change) => {
      const delta = deltaOf(change);
      const style = delta === '=' ? 'dim' : isWorse(change) ? 'red' : 'green';
      const name = shorten(printable(change.name), 36).padEnd(36);
      return `  ${name} ${amount(change.before).padStart(13)} ${amount(change.after).padStart(13)} ${paint(style, delta.padStart(12))}`;
    });
  const lines = [
    `${paint('bold', 'Before')} ${printable(diff.before)}`,
    `${paint('bold', 'After')}  ${printable(diff.after)}`,
    ...planLines(diff),
    '',
    ...rows(diff.totals),
  ];
  if (diff.layers.length > 0)
    lines.push('', paint('bold', 'Layers that changed'), ...rows(diff.layers));
  for (const region of diff.broken) {
    lines.push('', paint('red', `${printable(region)} does not fit any more`));
  }
  return `${lines.join('\n')}\n`;
}

function planLines({ plan }: ReportDiff): string[] {
  if (plan === null) return [];
  return ['', `Plan before: ${printable(plan.before)}`, `Plan after:  ${printable(plan.after)}`];
}

export function renderDiffMarkdown(diff: ReportDiff): string {
  const rows = (list: readonly Change[]): string =>
    table(
      ['', 'Before', 'After', 'Change'],
      ['l', 'r', 'r', 'r'],
      list.map((change) => [
        escapeMarkdown(change.name),
        amount(change.before),
        amount(change.after),
        deltaOf(change),
      ]),
    );
  const layers =
    diff.layers.length === 0
      ? []
      : [
          `<details><summary>${diff.layers.length} values of layers changed</summary>\n\n${rows(diff.layers)}\n\n</details>`,
        ];
  return [
    `### ${escapeMarkdown(diff.after)}`,
    `compared with ${escapeMarkdown(diff.before)}`,
    ...diff.broken.map((region) => `**${escapeMarkdown(region)} does not fit any more**`),
    ...(diff.plan === null
      ? []
      : [`Plan: ${escapeMarkdown(diff.plan.before)} → **${escapeMarkdown(diff.plan.after)}**`]),
    rows(diff.totals),
    ...layers,
  ]
    .join('\n\n')
    .concat('\n');
}

function amount(value: number | null): string {
  return value === null ? '–' : grouped(value);
}

function deltaOf({ before, after, unit }: Change): string {
  if (before === null) return 'new';
  if (after === null) return 'gone';
  if (before === after) return '=';
  const delta = after - before;
  return `${delta > 0 ? '+' : '−'}${grouped(Math.abs(delta))} ${unit}`;
}

function isWorse({ before, after }: Change): boolean {
  return (after ?? 0) > (before ?? 0);
}
