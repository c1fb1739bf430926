/** The report as GitHub-flavoured Markdown, for comments on pull requests. */
import { cachePriceColumns, cachePriceRows } from './cache-prices.ts';
import { gapWords, goalWords, planFits, whenPlanned } from './front.ts';
import {
  busyTokenLayers,
  bytes,
  cachePricesTitle,
  chipWords,
  estimateWords,
  flashParts,
  grouped,
  npuWords,
  percent,
  regionState,
  short,
  sramParts,
  tokenSentences,
} from './numbers.ts';
import type { CachePricesReport, Report } from './schema.ts';

export function renderMarkdown(report: Report): string {
  const { model, target, compute, plan, sram } = report;
  const link = report.stack === null ? 'predicted: nothing was linked' : 'measured from the image';
  return [
    `### ${escapeMarkdown(model.name)} on ${escapeMarkdown(target.title)}`,
    `${escapeMarkdown(model.kind)}, ${short(model.parameters)} parameters, at most ${report.maxTokens} tokens; ` +
      escapeMarkdown(chipWords(report)),
    table(
      ['Region', 'Used', 'Capacity', '', `Verdict (${link})`],
      ['l', 'r', 'r', 'r', 'l'],
      report.regions.map((region) => {
        const { usedBytes, fits, verdict } = regionState(region);
        return [
          escapeMarkdown(region.name),
          bytes(usedBytes),
          bytes(region.capacityBytes),
          percent(usedBytes, region.capacityBytes),
          fits ? verdict : `**${verdict}**`,
        ];
      }),
    ),
    table(
      ['Part', 'Bytes'],
      ['l', 'r'],
      [
        ...flashParts(report).map(({ title, bytes: size }) => [`flash: ${title}`, bytes(size)]),
        ...sramParts(report).map(({ title, bytes: size }) => [`RAM: ${title}`, bytes(size)]),
      ],
    ),
    `**${short(compute.macs)} MACs** (${short(compute.macsUnoptimized)} as imported), about ` +
      `${estimateWords(report)} an inference. An estimate: ` +
      `${escapeMarkdown(compute.estimatedFrom)}.`,
    ...(compute.npu === undefined
      ? []
      : [
          `**NPU**: ${npuWords(report)}. An estimate: ${escapeMarkdown(compute.npu.estimatedFrom)}.`,
        ]),
    `**Plan**, ${goalWords(report)}: ${escapeMarkdown(plan.text)}. Arena ${bytes(plan.arenaBytes)}, ` +
      `${gapWords(report)}, fullest in ${escapeMarkdown(sram.peakAt)}` +
      `${sram.peakBytes === null ? '' : `; RAM of the linked image ${bytes(sram.peakBytes)} (arena, static, bound of the stack)`}. ` +
      `About ${short(plan.estimatedInstructions)} instructions ${whenPlanned}.`,
    details(
      `${plan.front.length} plans of which none is better both in arena and in instructions, estimated ${whenPlanned}`,
      table(
        ['Plan', 'Arena', 'Instructions', ''],
        ['l', 'r', 'r', 'l'],
        plan.front.map((one) => [
          escapeMarkdown(one.text),
          bytes(one.arenaBytes),
          short(one.instructions),
          one.isChosen ? '**chosen**' : planFits(report, one) ? '' : 'does not fit',
        ]),
      ),
    ),
    ...tokenSection(report),
    details(
      `${report.layers.length} layers`,
      table(
        ['Layer', 'Rows', 'MACs', 'Weights', 'Cycles', 'Share'],
        ['l', 'r', 'r', 'r', 'r', 'r'],
        report.layers.map((layer) => [
          `${escapeMarkdown(layer.name)}${layer.device === 'npu' ? ' (NPU)' : ''}`,
          grouped(layer.rows),
          grouped(layer.macs),
          bytes(layer.weightBytes),
          grouped(layer.estimatedCycles),
          percent(layer.estimatedCycles, compute.estimatedCycles),
        ]),
      ),
    ),
    ...report.notes.map((note) => `> ${escapeMarkdown(note)}`),
    `<sub>${escapeMarkdown(report.tool.name)} ${escapeMarkdown(report.tool.version)}, model ${escapeMarkdown(model.compiledSha256.slice(0, 12))}</sub>`,
  ]
    .join('\n\n')
    .concat('\n');
}

function tokenSection(report: Report): readonly string[] {
  const { token } = report;
  if (token === undefined) return [];
  return [
    `**A token**, generated as number ${grouped(token.position)}: ${escapeMarkdown(tokenSentences(report).join(' '))}`,
    details(
      'A token by layer',
      table(
        ['Layer', 'MACs', 'Weights read', 'Cache', 'of it read', 'Cycles', 'Share'],
        ['l', 'r', 'r', 'r', 'r', 'r', 'r'],
        busyTokenLayers(token).map((layer) => [
          escapeMarkdown(layer.name),
          grouped(layer.macs),
          bytes(layer.weightBytesRead),
          bytes(layer.cacheBytes),
          bytes(layer.cacheBytesRead),
          grouped(layer.estimatedCycles),
          percent(layer.estimatedCycles, token.estimatedCycles),
        ]),
      ),
    ),
    ...cachePrices(token.cachePrices),
  ];
}

function cachePrices(prices: CachePricesReport | undefined): readonly string[] {
  if (prices === undefined) return [];
  const rows = cachePriceRows(prices.prices).map((row) => row.map(escapeMarkdown));
  const alignment = cachePriceColumns.map((_, column) => (column === 0 ? 'l' : 'r'));
  return [details(cachePricesTitle(prices), table(cachePriceColumns, alignment, rows))];
}

/** Names are untrusted: neither Markdown nor HTML in them may take effect. */
export function escapeMarkdown(text: string): string {
  return text
    .replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, '\ufffd')
    .replace(/&/g, '&amp;')
    .replace(/</g, '&lt;')
    .replace(/>/g, '&gt;')
    .replace(/[\\`*_{}[\]()#!|~]/g, '\\$&')
    .replace(/@/g, '&#64;');
}

export function table(
  head: readonly string[],
  align: readonly ('l' | 'r')[],
  rows: readonly (readonly string[])[],
): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  const rule = align.map((side) => (side === 'r' ? '---:' : ':---'));
  return [line(head), line(rule), ...rows.map(line)].join('\n');
}

function details(summary: string, body: string): string {
  return `<details><summary>${summary}</summary>\n\n${body}\n\n</details>`;
}
