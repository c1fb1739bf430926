/** How the renderers write quantities; and what they say of a region. */
import type { CachePricesReport, Report, ReportRegion } from './schema.ts';

/** `1,234,567`. */
export function grouped(value: number): string {
  return Math.round(value).toLocaleString('en-US');
}

export function bytes(value: number): string {
  return `${grouped(value)} B`;
}

/** `29.4 M`: three digits. */
export function short(value: number): string {
  for (const [factor, unit] of units) {
    if (value >= factor * 0.9995) return `${(value / factor).toPrecision(3)} ${unit}`;
  }
  return grouped(value);
}

const units = [
  [1e9, 'G'],
  [1e6, 'M'],
  [1e3, 'k'],
] as const;

export function percent(part: number, whole: number): string {
  return whole === 0 ? '0 %' : `${((100 * part) / whole).toFixed(1)} %`;
}

/** `271 ms`, `1.86 s`. */
export function duration(seconds: number): string {
  if (seconds >= 1) return `${seconds.toPrecision(3)} s`;
  const milliseconds = seconds * 1000;
  return `${milliseconds >= 100 ? Math.round(milliseconds) : milliseconds.toPrecision(2)} ms`;
}

/** `180 MHz`. */
export function megahertz(clockHz: number): string {
  return `${clockHz / 1e6} MHz`;
}

/** `12.3 M cycles, 271 ms at 180 MHz`; only instructions where there is no clock to count by. */
export function estimateWords(report: Report): string {
  const { compute, target } = report;
  const { clockHz } = target;
  if (clockHz === 0) return `${short(compute.estimatedInstructions)} instructions`;
  return `${short(compute.estimatedCycles)} cycles, ${timeWords(report)} at ${megahertz(clockHz)}`;
}

/** `271 ms`, or that it is not estimated. */
export function timeWords({ compute, target }: Report): string {
  const seconds = compute.estimatedCycles / target.clockHz;
  return target.clockHz === 0 ? 'not estimated' : duration(seconds);
}

/** What one more token takes, a sentence each. */
export function tokenSentences({ token, target }: Report): readonly string[] {
  if (token === undefined) return [];
  const { clockHz } = target;
  const speed =
    clockHz === 0
      ? ''
      : `, ${short(clockHz / token.estimatedCycles)} tokens a second at ${megahertz(clockHz)}, without choosing them`;
  const places = token.reads.map(
    ({ region, kind, bytes: size }) =>
      `${bytes(size)} in ${region}${kind === 'nor' ? ' (memory-mapped NOR)' : ''}`,
  );
  return [
    `${short(token.macs)} multiply-accumulates, about ${short(token.estimatedInstructions)} instructions and ${short(token.estimatedCycles)} cycles${speed}.`,
    `It reads of the constants ${places.join(', ')}.`,
    `The cache (${token.cache}) has ${bytes(token.cacheBytes)}, of which it reads ${bytes(token.cacheBytesRead)}.`,
  ];
}

/** On what the prices of smaller caches were measured. */
export function cachePricesTitle({ examples, tokens }: CachePricesReport): string {
  return `What smaller caches would cost, on ${grouped(examples)} texts of ${grouped(tokens)} tokens`;
}

/** The layers of a token that take anything. */
export function busyTokenLayers(token: NonNullable<Report['token']>) {
  return token.layers.filter(({ estimatedCycles }) => estimatedCycles > 0);
}

/** `STM32F746, cortex-m7, 216 MHz`. */
export function chipWords({ target }: Report): string {
  const { chip, core, npu, clockHz } = target;
  if (clockHz === 0) return chip;
  return `${chip}, ${core}${npu === null ? '' : ` with ${npu}`}, ${megahertz(clockHz)}`;
}

/** What the NPU does of an inference; null where there is none. */
export function npuWords({ compute }: Report): string | null {
  const { npu } = compute;
  if (npu === undefined) return null;
  const { accelerator, runs, macs, estimatedCycles, coreCycles } = npu;
  return (
    `${accelerator} makes ${percent(macs, compute.macs)} of them in ${grouped(runs)} jobs: ` +
    `${short(estimatedCycles)} cycles instead of ${short(coreCycles)} on the core`
  );
}

export interface RegionState {
  readonly usedBytes: number;
  readonly isMeasured: boolean;
  readonly fits: boolean;
  /** `fits, 12,345 B free`, `short by 12 B`, `unused`. */
  readonly verdict: string;
}

/** Measured where something was linked, else as predicted. */
export function regionState({
  usedBytes,
  predictedBytes,
  capacityBytes,
}: ReportRegion): RegionState {
  const used = usedBytes ?? predictedBytes;
  const free = capacityBytes - used;
  const fits = free >= 0;
  const isMeasured = usedBytes !== null;
  if (used === 0) return { usedBytes: 0, isMeasured, fits, verdict: 'unused' };
  const words = isMeasured ? ['fits', 'short'] : ['should fit', 'probably short'];
  const verdict = fits ? `${words[0]}, ${bytes(free)} free` : `${words[1]} by ${bytes(-free)}`;
  return { usedBytes: used, isMeasured, fits, verdict };
}

/** What the arena may take of its region: all but what else lies there. */
export function arenaLimit({ arena, regions }: Report): number {
  const region = regions.find(({ name }) => name === arena.region);
  if (region === undefined) return arena.sizeBytes;
  const others = (region.usedBytes ?? region.predictedBytes) - arena.sizeBytes;
  return region.capacityBytes - others;
}

export interface Part {
  readonly key: string;
  readonly title: string;
  readonly bytes: number;
}

/** Flash by part; those known before linking only where nothing was linked. */
export function flashParts({ flash }: Report): readonly Part[] {
  return parts([
    ['code', 'code', flash.codeBytes],
    ['encoder', 'encoder weights', flash.encoderBytes],
    ['embedding', 'embedding tables', flash.embeddingBytes],
    ['tokenizer', 'tokenizer', flash.tokenizerBytes],
    ['constraint', 'constraint', flash.constraintBytes ?? null],
    ['other', 'other', flash.otherBytes],
  ]);
}

export function sramParts({ sram }: Report): readonly Part[] {
  return parts([
    ['arena', 'arena', sram.arenaBytes],
    ['static', 'static', sram.staticBytes],
    ['stack', 'stack', sram.stackBytes],
  ]);
}

function parts(rows: readonly (readonly [string, string, number | null])[]): readonly Part[] {
  return rows.flatMap(([key, title, value]) =>
    value === null ? [] : [{ key, title, bytes: value }],
  );
}
