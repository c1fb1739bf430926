/** The search for a recipe as one HTML page: the Pareto front, and what each option does alone. */
import { dropOf } from '../compress/choose.ts';
import type { FrontPoint, MeasuredOption } from '../compress/search.ts';
import { comparisonPage, type FrontPicture, frontPicture, unbroken } from './comparison-page.ts';
import { html, type Markup } from './markup.ts';
import { bytes, grouped } from './numbers.ts';

export interface CompressPage {
  readonly model: string;
  readonly target: string;
  readonly maxTokens: number;
  readonly budgetBytes: number;
  readonly maxDrop: number;
  readonly chosen: FrontPoint;
  readonly front: readonly FrontPoint[];
  readonly options: readonly MeasuredOption[];
}

export function renderCompressPage(page: CompressPage): string {
  const { front, target, maxTokens } = page;
  const title = `${page.model}: bytes against answers`;
  return comparisonPage({
    title,
    about: `For ${target}, texts of up to ${maxTokens} tokens. Bytes are of the whole image, predicted; where it was emitted, with its real tables and weights.`,
    sections: [
      ['Points of accuracy lost', frontPicture(pictured(page, pointsLost))],
      ['Change of the outputs', frontPicture(pictured(page, distance))],
      ['The front', frontTable(page)],
      ['Each option alone', optionTable(page.options)],
    ],
  });

  function pictured({ chosen }: CompressPage, { name, of, text }: Measure): FrontPicture {
    return {
      ...{ name, text },
      points: front.map((point) => ({
        ...{ bytes: point.bytes, value: of(point, page), isChosen: point === chosen },
        title: `word table ${point.word}`,
      })),
    };
  }
}

/** What the picture has from bottom to top. */
interface Measure extends Pick<FrontPicture, 'name' | 'text'> {
  readonly of: (point: FrontPoint, page: CompressPage) => number;
}

const pointsLost: Measure = {
  name: 'points lost',
  of: (point, { front }) => 100 * dropOf(point, front),
  text: (value) => value.toFixed(2),
};
const distance: Measure = {
  name: 'distance',
  of: ({ loss }) => Math.max(loss.distance, 1e-6),
  text: (value) => value.toPrecision(2),
};

function frontTable({ front, chosen, budgetBytes, maxDrop }: CompressPage): Markup {
  return html`<p>${`Chosen within ${bytes(budgetBytes)} and ${(100 * maxDrop).toFixed(2)} points. The interval is the middle 95 % of a paired bootstrap over the texts.`}</p>
<table><thead><tr><th>image</th><th>points lost</th><th>95 %</th><th>agreement</th><th>distance</th><th>hidden cosine</th><th>word table</th><th>position table</th><th>int4 matrices</th><th>tokens dropped</th></tr></thead><tbody>
${front.map(
  (point) =>
    html`<tr><td>${unbroken(`${point === chosen ? '▸ ' : ''}${bytes(point.bytes)}`)}</td><td>${points(point.loss.accuracyDrop)}</td><td>${point.interval === null ? '' : unbroken(`${points(point.interval[0])} … ${points(point.interval[1])}`)}</td><td>${`${(100 * point.loss.agreement).toFixed(2)} %`}</td><td>${point.loss.distance.toFixed(4)}</td><td>${point.loss.hiddenCosine.toFixed(4)}</td><td>${`${point.word} (${unbroken(bytes(point.wordBytes))})`}</td><td>${point.position}</td><td>${`${point.int4} of ${point.matrices}`}</td><td>${grouped(point.dropped)}</td></tr>`,
)}
</tbody></table>`;
}

function optionTable(options: readonly MeasuredOption[]): Markup {
  return html`<table><thead><tr><th>part</th><th>option</th><th>bytes</th><th>distance</th><th>hidden cosine</th><th>agreement</th><th>points lost</th></tr></thead><tbody>
${options.map(
  ({ part, name, bytes: size, loss, hiddenCosine, agreement, accuracyDrop }) =>
    html`<tr><td>${part}</td><td>${name}</td><td>${grouped(Math.round(size))}</td><td>${loss.toFixed(5)}</td><td>${hiddenCosine.toFixed(4)}</td><td>${`${(100 * agreement).toFixed(2)} %`}</td><td>${points(accuracyDrop)}</td></tr>`,
)}
</tbody></table>`;
}

function points(share: number | null): string {
  return share === null ? '' : (100 * share).toFixed(2);
}
