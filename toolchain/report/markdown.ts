/** The report as GitHub-flavoured Markdown, for comments on pull requests. */
import {
  bytes,
  duration,
  estimatedSeconds,
  flashParts,
  grouped,
  megahertz,
  percent,
  regionState,
  short,
  sramParts,
} from './numbers.ts';
import type { Report } from './schema.ts';

export function renderMarkdown(report: Report): string {
  const { model, target, compute, plan, sram, arena } = report;
  const link = report.stack === null ? 'predicted: nothing was linked' : 'measured from the image';
  return [
    `### ${escapeMarkdown(model.name)} on ${escapeMarkdown(target.title)}`,
    `${escapeMarkdown(model.kind)}, ${short(model.parameters)} parameters, at most ${report.maxTokens} tokens; ` +
      `${escapeMarkdown(target.chip)} (${escapeMarkdown(target.core)}) at ${megahertz(target.clockHz)}`,
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
      `${short(compute.estimatedCycles)} cycles, ${duration(estimatedSeconds(report))} an inference (estimate). ` +
      `Arena ${bytes(arena.sizeBytes)}, lower bound ${bytes(arena.lowerBoundBytes)}, fullest in ` +
      `${escapeMarkdown(sram.peakAt)}. Plan: ${plan.headGroups} head group${plan.headGroups === 1 ? '' : 's'}, ` +
      `tiles of ${plan.tileRows} rows.`,
    details(
      `${report.layers.length} layers`,
      table(
        ['Layer', 'Rows', 'MACs', 'Weights', 'Cycles', 'Share'],
        ['l', 'r', 'r', 'r', 'r', 'r'],
        report.layers.map((layer) => [
          escapeMarkdown(layer.name),
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
