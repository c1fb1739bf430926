/**
 * The HTML report in a real browser: it says nothing on the console, asks for nothing, works without
 * scripts, and its picture shows every buffer where it is. REPORT_SHOTS=folder keeps screenshots.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { renderReport } from '../../toolchain/report/render.ts';
import type { Report } from '../../toolchain/report/schema.ts';
import { type Browser, hasBrowser, openBrowser, type PageOptions } from './browser.ts';
import {
  fixtureReport,
  hostile,
  hostileReport,
  overfullReport,
  storedDecoderReport,
  storedReport,
} from './reports.ts';

if (!hasBrowser) console.warn('SKIPPED: no Chromium, the HTML report is not looked at');

const folder = mkdtempSync(join(tmpdir(), 'lm2mcu-report-'));
let browser: Browser;

const sources: Readonly<Record<string, () => Report>> = {
  stored: storedReport,
  generation: storedDecoderReport,
  overfull: overfullReport,
  hostile: hostileReport,
  'token-classification': () => fixtureReport('tokcls-relu', 'nucleo-f446re', 48),
  embedding: () => fixtureReport('embed-tanh-bf16', 'mps3-an547', 64),
};

const made = new Map<string, Report>();
function reportOf(name: string): Report {
  const report = made.get(name) ?? sources[name]!();
  made.set(name, report);
  return report;
}

describe.skipIf(!hasBrowser)('in Chromium', () => {
  beforeAll(async () => {
    browser = await openBrowser();
  });
  afterAll(async () => {
    await browser.close();
    rmSync(folder, { recursive: true });
  });

  const show = (name: string, options: PageOptions = {}) => {
    const path = join(folder, `${name}.html`);
    writeFileSync(path, renderReport(reportOf(name), 'html'));
    return browser.open(pathToFileURL(path).href, options);
  };

  describe.each(Object.keys(sources))('%s', (name) => {
    test('says nothing on the console and asks for nothing', async () => {
      const page = await show(name);
      expect(page.complaints).toEqual([]);
      const [first, ...others] = page.requests;
      expect(first).toMatch(/^file:/);
      expect(others.filter((url) => !url.startsWith('data:'))).toEqual([]);
    });

    test('tells the same without scripts', async () => {
      const text = 'document.querySelector("main").innerText.replace(/\\s+/g, " ")';
      const withScript = await (await show(name)).evaluate<string>(text);
      const withoutScript = await show(name, { javascript: false });
      expect(withoutScript.complaints).toEqual([]);
      const plain = await withoutScript.evaluate<string>(text);
      expect(plain.length).toBeGreaterThan(1000);
      expect(withScript).toBe(plain);
    });

    test('fills every buffer with a colour of its kind', async () => {
      const page = await show(name);
      const fills = await page.evaluate<string[]>(
        '[...document.querySelectorAll(".buffer rect:not(.hatch)")].map((box) => getComputedStyle(box).fill)',
      );
      expect(fills.length).toBeGreaterThan(0);
      expect(fills).not.toContain('rgb(0, 0, 0)');
    });

    test('draws every buffer inside the picture, where it is', async () => {
      const report = reportOf(name);
      const page = await show(name);
      const boxes = await page.evaluate<Box[]>(readBoxes);
      expect(boxes).toHaveLength(report.buffers.length);
      const [, , width = 0, height = 0] = await page.evaluate<number[]>(
        'document.querySelector("svg.arena").getAttribute("viewBox").split(" ").map(Number)',
      );
      for (const [index, a] of boxes.entries()) {
        const { inPlaceOf, name: own } = report.buffers[index]!;
        expect(a.x).toBeGreaterThanOrEqual(0);
        expect(a.y).toBeGreaterThanOrEqual(0);
        expect(a.x + a.width).toBeLessThanOrEqual(width);
        expect(a.y + a.height).toBeLessThanOrEqual(height);
        expect(a.width).toBeGreaterThan(0);
        expect(a.height).toBeGreaterThan(0);
        for (const [other, b] of boxes.slice(0, index).entries()) {
          const { inPlaceOf: overwritten, name: otherName } = report.buffers[other]!;
          if (inPlaceOf === otherName || overwritten === own) continue;
          expect(overlap(a, b), `${own} and ${otherName}`).toBe(false);
        }
      }
    });

    test('draws every plan inside the picture, and no label over another', async () => {
      const { plan } = reportOf(name);
      const page = await show(name);
      const frame = (await page.evaluate<Box[]>(boxesOf('svg.front')))[0]!;
      const dots = await page.evaluate<Box[]>(boxesOf('svg.front .plan circle'));
      expect(dots).toHaveLength(plan.front.length);
      const texts = await page.evaluate<Box[]>(boxesOf('svg.front text'));
      for (const [index, text] of texts.entries()) {
        for (const other of texts.slice(0, index)) expect(overlap(text, other)).toBe(false);
      }
      for (const { x, y, width, height } of [...dots, ...texts]) {
        expect(x).toBeGreaterThanOrEqual(frame.x);
        expect(y).toBeGreaterThanOrEqual(frame.y);
        expect(x + width).toBeLessThanOrEqual(frame.x + frame.width);
        expect(y + height).toBeLessThanOrEqual(frame.y + frame.height);
      }
      expect(await page.evaluate('document.querySelectorAll(".plan.chosen").length')).toBe(1);
    });

    test('nothing is wider than the window, labels stay in their rectangles', async () => {
      for (const width of [400, 1280]) {
        const page = await show(name, { width });
        expect(await page.evaluate('document.documentElement.scrollWidth')).toBeLessThanOrEqual(
          width,
        );
      }
      const page = await show(name);
      expect(await page.evaluate<string[]>(strayLabels)).toEqual([]);
    });
  });

  test('sorts and filters the layers, and tells what a buffer is', async () => {
    const page = await show('stored');
    const numbers = 'document.querySelectorAll(".layers tbody tr:not([hidden]) td:first-child")';
    const order = () => page.evaluate<number[]>(`[...${numbers}].map((cell) => +cell.textContent)`);
    const { layers, buffers } = storedReport();
    expect(await order()).toEqual(layers.map(({ call }) => call));
    const cycles = 'document.querySelectorAll(".layers thead button")[6]';
    await page.evaluate(`${cycles}.click()`);
    const byCycles = layers.toSorted((a, b) => b.estimatedCycles - a.estimatedCycles);
    expect(await order()).toEqual(byCycles.map(({ call }) => call));
    await page.evaluate(`${cycles}.click()`);
    expect((await order()).at(-1)).toBe(byCycles[0]!.call);
    await page.evaluate(
      'const f = document.querySelector(".filter"); f.value = "POOLER"; f.dispatchEvent(new Event("input"))',
    );
    const pooler = layers.filter((layer) => layer.name.includes('pooler'));
    expect(await order()).toEqual(pooler.map(({ call }) => call));
    await page.evaluate(
      'document.querySelectorAll(".buffer")[2].dispatchEvent(new Event("focus"))',
    );
    const told = await page.evaluate<string>('document.querySelector(".probe").textContent');
    expect(told).toContain(buffers[2]!.name);
    expect(page.complaints).toEqual([]);
  });

  test('names of the model are text', async () => {
    const page = await show('hostile');
    const shown = hostile.replace(/[\u202e]/u, '\ufffd').replace('\u001b', '\ufffd');
    expect(await page.evaluate('document.images.length')).toBe(0);
    expect(await page.evaluate('document.scripts.length')).toBe(2);
    expect(await page.evaluate<string>('document.title')).toContain(shown);
    const name = await page.evaluate(
      'JSON.parse(document.getElementById("report").textContent).model.name',
    );
    expect(name).toBe(hostile);
    // Even a script that got in would not run.
    await page.evaluate(
      'document.body.append(Object.assign(document.createElement("script"), { textContent: "owned = 1" }))',
    );
    expect(await page.evaluate('typeof owned')).toBe('undefined');
  });

  test('every picture has a name', async () => {
    const page = await show('stored');
    const unnamed = await page.evaluate<number>(
      '[...document.querySelectorAll("svg")].filter((svg) => !svg.hasAttribute("aria-label") && !svg.hasAttribute("aria-labelledby") && !svg.hasAttribute("aria-hidden")).length',
    );
    expect(unnamed).toBe(0);
  });

  const shots = process.env['REPORT_SHOTS'];
  test.skipIf(shots === undefined).each([
    ['stored', 'light', 1280],
    ['stored', 'dark', 1280],
    ['stored', 'light', 400],
    ['overfull', 'light', 1800],
    ['hostile', 'light', 1280],
    ['embedding', 'dark', 1280],
  ] as const)('screenshot of %s, %s, %i', async (name, scheme, width) => {
    const page = await show(name, { scheme, width });
    writeFileSync(join(shots!, `${name}-${scheme}-${width}.png`), await page.screenshot());
  });
});

interface Box {
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
}

const readBoxes = `[...document.querySelectorAll('rect[data-buffer]')].map((rect) =>
  Object.fromEntries(['x', 'y', 'width', 'height'].map((key) => [key, +rect.getAttribute(key)])))`;

/** Where elements are on the page. */
const boxesOf = (selector: string): string =>
  `[...document.querySelectorAll('${selector}')].map((element) => {
    const { x, y, width, height } = element.getBoundingClientRect();
    return { x, y, width, height };
  })`;

/** Labels of buffers that reach beyond every buffer's rectangle they begin in. */
const strayLabels = `[...document.querySelectorAll('.label')].filter((label) => {
  const text = label.getBoundingClientRect();
  return ![...document.querySelectorAll('rect[data-buffer]')].some((rect) => {
    const box = rect.getBoundingClientRect();
    return text.left >= box.left - 1 && text.right <= box.right + 1 &&
      text.top >= box.top - 3 && text.bottom <= box.bottom + 3;
  });
}).map((label) => label.textContent)`;

/** Coordinates are rounded to a hundredth. */
const ROUNDING = 0.02;

function overlap(a: Box, b: Box): boolean {
  const meet = (start: number, size: number, otherStart: number, otherSize: number): boolean =>
    start + ROUNDING < otherStart + otherSize && otherStart + ROUNDING < start + size;
  return meet(a.x, a.width, b.x, b.width) && meet(a.y, a.height, b.y, b.height);
}
