/** The search for a decoder's recipe as one HTML page: perplexity by bytes, and each matrix alone. */
import type { DecoderPoint, MatrixOption } from '../compress/decoder-search.ts';
import { comparisonPage, frontPicture, unbroken } from './comparison-page.ts';
import { html, type Markup } from './markup.ts';
import { bytes, grouped } from './numbers.ts';

export interface DecoderPage {
  readonly model: string;
  readonly target: string;
  readonly maxTokens: number;
  /** Null: none was given. */
  readonly budgetBytes: number | null;
  /** Of the perplexity, as a share. */
  readonly maxRise: number;
  readonly chosen: PricedPoint;
  readonly front: readonly PricedPoint[];
  readonly options: readonly MatrixOption[];
}

export interface PricedPoint extends DecoderPoint {
  /** Of the whole image. */
  readonly bytes: number;
}

export function renderDecoderPage(page: DecoderPage): string {
  const { model, target, maxTokens, front, chosen, options } = page;
  const points = front.map((point) => ({
    ...{ bytes: point.bytes, value: 100 * point.rise, isChosen: point === chosen },
    title: `${point.matrices.length} of ${options.length} matrices in int4`,
  }));
  return comparisonPage({
    title: `${model}: bytes against perplexity`,
    about: `For ${target}, texts of up to ${maxTokens} tokens. Bytes are of the whole image with all matrices in int8, less what int4 saves.`,
    sections: [
      [
        'Rise of the perplexity',
        frontPicture({ name: 'percent above float', text: (value) => value.toFixed(2), points }),
      ],
      ['The combinations', pointTable(page)],
      ['Each matrix alone', optionTable(options)],
    ],
  });
}

function pointTable({ front, chosen, options, budgetBytes, maxRise }: DecoderPage): Markup {
  const wish =
    budgetBytes === null ? `${percent(maxRise)} above float` : `${bytes(budgetBytes)}, or as few`;
  return html`<p>${`Chosen within ${wish}.`}</p>
<table><thead><tr><th>image</th><th>perplexity</th><th>above float</th><th>int4 matrices</th></tr></thead><tbody>
${front.map(
  (point) =>
    html`<tr><td>${unbroken(`${point === chosen ? '▸ ' : ''}${bytes(point.bytes)}`)}</td><td>${point.perplexity.toFixed(3)}</td><td>${percent(point.rise)}</td><td>${`${point.matrices.length} of ${options.length}`}</td></tr>`,
)}
</tbody></table>`;
}

function optionTable(options: readonly MatrixOption[]): Markup {
  return html`<p>On some of the texts, the cheapest for its bytes first.</p>
<table><thead><tr><th>matrix</th><th>bytes saved</th><th>perplexity</th></tr></thead><tbody>
${options.map(
  ({ name, savedBytes, rise }) =>
    html`<tr><td>${name}</td><td>${grouped(savedBytes)}</td><td>${`${percent(rise)} more`}</td></tr>`,
)}
</tbody></table>`;
}

function percent(share: number): string {
  return unbroken(`${(100 * share).toFixed(2)} %`);
}
