/** The report as one HTML file that needs nothing else: no network, no script to be read. */
import { arenaPicture } from './arena-picture.ts';
import { gapWords, goalWords, planFits, whenPlanned } from './front.ts';
import { frontPicture } from './front-picture.ts';
import { breakable, html, jsonData, type Markup } from './markup.ts';
import {
  bytes,
  chipWords,
  estimateWords,
  flashParts,
  grouped,
  npuWords,
  type Part,
  percent,
  regionState,
  short,
  sramParts,
  timeWords,
} from './numbers.ts';
import { pageHead } from './page-head.ts';
import { pageScript } from './page-script.ts';
import type { Report, ReportLayer, ReportRegion } from './schema.ts';
import { tokenTable } from './token-table.ts';

/** `json`: the report as it stands in report.json, for whoever has only the page. */
export function renderHtml(report: Report, json: string): string {
  const { model, target } = report;
  const title = `${model.name} on ${target.title}`;
  const page = html`<!doctype html>
<html lang="en">
${pageHead({ title, generator: `${report.tool.name} ${report.tool.version}`, script: pageScript })}
<body>
${heading(report)}
<main>
<div class="columns">
${memory(report)}
${flash(report)}
</div>
${plans(report)}
${arena(report)}
${tokenTable(report)}
${layers(report)}
<div class="cards">
${stack(report)}
${planCard(report)}
${modelCard(report)}
${provenance(report)}
</div>
</main>
<footer>${`Made by ${report.tool.name} ${report.tool.version}. The same inputs give the same file.`}</footer>
<script type="application/json" id="report">${jsonData(json)}</script>
<script>${{ markup: pageScript }}</script>
</body>
</html>
`;
  return page.markup;
}

function heading(report: Report): Markup {
  const { model, target, compute, regions, flash, sram, predicted } = report;
  const isMeasured = flash.usedBytes !== null;
  const failing = regions.filter((region) => !regionState(region).fits);
  const badge =
    failing.length > 0
      ? html`<span class="badge short">${`does not fit in ${failing.map(({ name }) => name).join(', ')}`}</span>`
      : html`<span class="badge fits">${isMeasured ? 'fits' : 'should fit'}</span>`;
  const from = isMeasured ? 'measured' : 'predicted';
  const saved = 1 - compute.macs / Math.max(1, compute.macsUnoptimized);
  const figures: readonly (readonly [string, string, string])[] = [
    [
      'Flash',
      bytes(flash.usedBytes ?? predicted.flashBytes),
      `${from}, of ${bytes(flash.capacityBytes)}`,
    ],
    [
      'RAM at its peak',
      bytes(sram.peakBytes ?? predicted.sramBytes),
      `${from}, of ${bytes(sram.capacityBytes)}`,
    ],
    ['One inference', `≈ ${timeWords(report)}`, `estimate: ${estimateWords(report)}`],
    [
      'Multiply-accumulates',
      short(compute.macs),
      `${short(compute.macsUnoptimized)} as imported, ${(100 * saved).toFixed(0)} % saved`,
    ],
    [
      'Tokens',
      `≤ ${grouped(report.maxTokens)}`,
      `the model itself could take ${grouped(model.maxPositions)}`,
    ],
  ];
  return html`<header>
<h1>${model.name} ${badge}</h1>
<p class="soft">${`${model.kind}, ${short(model.parameters)} parameters, on ${target.title} (${chipWords(report)})`}</p>
<dl class="figures">${figures.map(([name, value, note]) => html`<div><dt>${name}</dt><dd>${value}<small>${note}</small></dd></div>`)}</dl>
</header>`;
}

function memory({ regions }: Report): Markup {
  const isMeasured = regions.every(({ usedBytes }) => usedBytes !== null);
  const how = isMeasured
    ? 'Measured from the linked image; the stack counts with its bound.'
    : 'Predicted from constants, arena and reserves: nothing was linked.';
  return html`<section><h2>Memory by region</h2><p class="soft">${how}</p>${regions.map(regionGauge)}</section>`;
}

/** Above this share of a region, the gauge warns. */
const TIGHT = 0.9;

function regionGauge(region: ReportRegion): Markup {
  const { name, kind, capacityBytes, predictedBytes } = region;
  const { usedBytes, isMeasured, fits, verdict } = regionState(region);
  const share = usedBytes / capacityBytes;
  const state = !fits ? 'short' : share > TIGHT ? 'tight' : 'fits';
  const scale = Math.max(1, share);
  const description = `${name}: ${bytes(usedBytes)} of ${bytes(capacityBytes)}, ${verdict}`;
  const prediction =
    isMeasured && usedBytes > 0
      ? html` <small>${`predicted ${bytes(predictedBytes)}`}</small>`
      : null;
  const end = fits
    ? null
    : html`<line class="end" x1="${1000 / scale}" x2="${1000 / scale}" y1="0" y2="14"/>`;
  return html`<div class="region">
<p><strong>${name}</strong> <small>${kind}</small> <span class="push">${bytes(usedBytes)} <span class="soft">of ${bytes(capacityBytes)}, ${percent(usedBytes, capacityBytes)}</span></span></p>
<svg class="gauge ${state}" viewBox="0 0 1000 14" preserveAspectRatio="none" role="img" aria-label="${description}"><title>${description}</title><rect class="back" width="1000" height="14"/><rect class="used" width="${(1000 * share) / scale}" height="14"/>${end}</svg>
<p><span class="badge ${state}">${verdict}</span>${prediction}</p>
</div>`;
}

function flash(report: Report): Markup {
  return html`<section><h2>Flash and RAM by part</h2>${partBar('flash', flashParts(report))}${partBar('RAM', sramParts(report))}</section>`;
}

function partBar(what: string, parts: readonly Part[]): Markup {
  const total = parts.reduce((sum, part) => sum + part.bytes, 0);
  let left = 0;
  const bars = parts.map(({ key, title, bytes: size }) => {
    const width = total === 0 ? 0 : (1000 * size) / total;
    left += width;
    return html`<rect class="p-${key}" x="${left - width}" width="${width}" height="26"><title>${`${title}: ${bytes(size)}`}</title></rect>`;
  });
  const rows = parts.map(
    ({ key, title, bytes: size }) =>
      html`<tr><td><svg class="key" viewBox="0 0 11 11" aria-hidden="true"><rect class="p-${key}" width="11" height="11"/></svg>${title}</td><td class="n">${bytes(size)}</td><td class="n">${percent(size, total)}</td></tr>`,
  );
  return html`<svg class="stack-bar" viewBox="0 0 1000 26" preserveAspectRatio="none" role="img" aria-label="${`${what} by part: ${bytes(total)}`}">${bars}</svg>
<table><thead><tr><th>${what}</th><th class="n">bytes</th><th class="n">share</th></tr></thead><tbody>${rows}</tbody></table>`;
}

const kinds: readonly (readonly [string, string])[] = [
  ['whole', 'all rows'],
  ['state', 'kept from run to run'],
  ['tile', 'rows of one tile'],
  ['input', 'input'],
  ['output', 'output'],
  ['scratch', 'scratch of a kernel'],
  ['shared', 'overwritten in place'],
];

function arena(report: Report): Markup {
  const { arena: sizes, sram } = report;
  const gap =
    sizes.gapBytes === 0
      ? 'No placement needs less.'
      : `No placement can need less than ${bytes(sizes.lowerBoundBytes)}; this one takes ${bytes(sizes.gapBytes)} more.`;
  return html`<section><h2>The arena over time</h2>
<p class="soft">${`${bytes(sizes.sizeBytes)} in ${sizes.region}. ${gap} Most is in use in ${sram.peakAt}.`}</p>
<ul class="legend">${kinds.map(([kind, text]) => html`<li><span class="key k-${kind}"></span>${text}</li>`)}</ul>
<div class="scroll" tabindex="0" role="region" aria-label="The arena over time, scrollable">${arenaPicture(report)}</div>
<p class="probe" aria-live="polite">Calls from left to right, addresses from bottom to top. Point at a buffer to see what it holds.</p>
</section>`;
}

function plans(report: Report): Markup {
  const { plan, sram, compute } = report;
  const image =
    sram.peakBytes === null
      ? ''
      : ` The linked image takes ${bytes(sram.peakBytes)} of RAM: arena, static data and the bound of the stack.`;
  const rows = plan.front.map((one) => {
    const verdict = one.isChosen ? 'chosen' : planFits(report, one) ? '' : 'does not fit';
    return html`<tr class="${one.isChosen ? 'chosen' : ''}"><td class="name">${one.text}</td><td class="n">${bytes(one.arenaBytes)}</td><td class="n">${short(one.instructions)}</td><td>${verdict}</td></tr>`;
  });
  return html`<section><h2>Plans: memory against work</h2>
<p class="soft">${`Chosen: ${plan.text}, ${goalWords(report)}. Its arena is ${bytes(plan.arenaBytes)}, ${gapWords(report)}.${image}`}</p>
<div class="scroll" tabindex="0" role="region" aria-label="Plans, scrollable">${frontPicture(report)}</div>
<p class="soft">${`No plan is better than one of these both in arena and in instructions. Instructions are an estimate for ${grouped(report.maxTokens)} tokens, ${whenPlanned}: ${compute.estimatedFrom}.`}</p>
<details><summary>${`All ${plan.front.length} plans`}</summary><div class="scroll" tabindex="0" role="region" aria-label="List of plans, scrollable"><table><thead><tr><th>Plan</th><th class="n">arena</th><th class="n">instructions</th><th></th></tr></thead><tbody>${rows}</tbody></table></div></details>
</section>`;
}

function layers(report: Report): Markup {
  const { layers: rows, compute } = report;
  const most = Math.max(1, ...rows.map(({ estimatedCycles }) => estimatedCycles));
  const sum = (pick: (layer: ReportLayer) => number): number =>
    rows.reduce((total, layer) => total + pick(layer), 0);
  return html`<section><h2>Layers</h2>
<p class="soft">${`Cycles are an estimate: ${compute.estimatedFrom}.`}</p>
${npuNote(report)}
<div class="scroll" tabindex="0" role="region" aria-label="Layers, scrollable"><table class="layers">
<thead><tr><th class="n" scope="col">#</th><th scope="col">Layer</th><th class="kernel" scope="col">Operation</th><th class="n shape" scope="col">Output</th><th class="n" scope="col">MACs</th><th class="n" scope="col">Weights, B</th><th class="n" scope="col">Cycles</th><th class="n bar" scope="col">Share</th></tr></thead>
<tbody>${rows.map((layer) => layerRow(layer, compute.estimatedCycles, most))}</tbody>
<tfoot><tr><td></td><td class="name">Total</td><td class="kernel"></td><td class="shape"></td><td class="n">${grouped(sum(({ macs }) => macs))}</td><td class="n">${grouped(sum(({ weightBytes }) => weightBytes))}</td><td class="n">${grouped(compute.estimatedCycles)}</td><td></td></tr></tfoot>
</table></div></section>`;
}

function npuNote(report: Report): Markup | null {
  const { npu } = report.compute;
  if (npu === undefined) return null;
  return html`<p class="soft">${`Of the multiply-accumulates ${npuWords(report)}: an estimate from ${npu.estimatedFrom}. Point at the cycles of a layer to see what the other would take.`}</p>`;
}

/** What a layer takes where it does not run. */
function otherDevice({ device, estimates }: ReportLayer): string {
  if (estimates === undefined) return '';
  if (device === 'npu') return `${grouped(estimates.core)} on the core`;
  return estimates.npu === null ? 'not on the NPU' : `${grouped(estimates.npu)} on the NPU`;
}

function layerRow(layer: ReportLayer, total: number, most: number): Markup {
  const { name, op, kernel, call, rows, columns, macs, weightBytes, estimatedCycles } = layer;
  const share = percent(estimatedCycles, total);
  const number = (value: number): Markup =>
    html`<td class="n" data-value="${String(value)}">${grouped(value)}</td>`;
  const cycles =
    layer.estimates === undefined
      ? number(estimatedCycles)
      : html`<td class="n" data-value="${String(estimatedCycles)}" title="${otherDevice(layer)}">${grouped(estimatedCycles)}</td>`;
  return html`<tr><td class="n" data-value="${call}">${call}</td><td class="name">${breakable(name)}</td><td class="kernel" title="${kernel ?? ''}">${op}${layer.device === 'npu' ? ' (NPU)' : ''}</td><td class="n shape" data-value="${rows * columns}">${`${rows} × ${columns}`}</td>${number(macs)}${number(weightBytes)}${cycles}<td class="n bar" data-value="${String(estimatedCycles)}"><svg class="share" viewBox="0 0 100 10" preserveAspectRatio="none" role="img" aria-label="${share}"><title>${share}</title><rect width="${(100 * estimatedCycles) / most}" height="10"/></svg></td></tr>`;
}

function stack({ stack: bound }: Report): Markup | null {
  if (bound === null) return null;
  const most = Math.max(1, ...bound.path.map(({ bytes: own }) => own));
  return html`<section><h2>Stack</h2>
<p class="soft">${`Never deeper than ${bytes(bound.boundBytes)}, interrupts included. The deepest path from reset:`}</p>
<table><tbody>${bound.path.map(
    ({ name, bytes: own }) =>
      html`<tr><td class="name"><code>${name}</code></td><td class="n">${bytes(own)}</td><td class="bar"><svg class="share" viewBox="0 0 100 10" preserveAspectRatio="none" aria-hidden="true"><rect width="${(100 * own) / most}" height="10"/></svg></td></tr>`,
  )}</tbody></table></section>`;
}

function modelCard({ model }: Report): Markup {
  const labels = model.labels === null ? null : model.labels.join(', ');
  return card('Model', [
    ['Name', model.name],
    ['Kind', model.kind],
    ['Parameters', grouped(model.parameters)],
    [
      'Vocabulary',
      model.storedVocabularySize === model.vocabularySize
        ? `${grouped(model.vocabularySize)}, all stored`
        : `${grouped(model.vocabularySize)}, of which ${grouped(model.storedVocabularySize)} can occur and are stored`,
    ],
    ['Positions', grouped(model.maxPositions)],
    ...(labels === null ? [] : [[`Labels (${model.labels?.length})`, labels] as const]),
  ]);
}

function planCard(report: Report): Markup {
  const { plan, segments, maxTokens, arena: place } = report;
  const loops = segments.filter(({ tiles }) => tiles > 1).length;
  return card('Plan', [
    ['Asked for', goalWords(report)],
    ['Chosen', plan.text],
    ['Loops', `${loops} over tiles, ${segments.length - loops} that run once`],
    ['Tokens', `up to ${grouped(maxTokens)}; shorter texts take less time`],
    ['Arena', `${bytes(plan.arenaBytes)} in ${place.region}, ${gapWords(report)}`],
  ]);
}

function provenance(report: Report): Markup {
  const { target, model, tool, compute, notes } = report;
  return card('Provenance', [
    ['Made by', `${tool.name} ${tool.version}`],
    [
      'Board',
      `${target.title} (${target.name}), ${target.verified.status}: ${target.verified.how}`,
    ],
    ['Cycles', compute.estimatedFrom],
    ['Model files', `sha256 ${model.sha256}`],
    ['Compiled model', `sha256 ${model.compiledSha256}`],
    ...notes.map((note) => ['Note', note] as const),
  ]);
}

function card(title: string, rows: readonly (readonly [string, string])[]): Markup {
  return html`<section><h2>${title}</h2><dl class="card">${rows.map(([name, value]) => html`<dt>${name}</dt><dd>${value}</dd>`)}</dl></section>`;
}
