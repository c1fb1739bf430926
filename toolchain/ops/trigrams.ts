/** Each token beside its neighbours: what a convolution over three tokens is a product with. */
import type { Matrix } from '../ir/graph.ts';
import { empty, type NoAttrs } from './form.ts';
import type { EvalContext, OpDef } from './op.ts';

export const trigrams: OpDef<NoAttrs, NoAttrs> = {
  doc: 'y = the rows after, of and before each token, side by side; beyond the ends zeros',
  operands: [{ name: 'x', reads: 'all', symmetric: true }],
  sameQuantAsInputs: true,
  readsIndex: true,
  form: { attrs: empty, integer: () => empty, fits: () => true },
  infer: ([x]) => [x![0], 3 * x![1]],
  evalFloat: ([x], _attrs, out, context) => copyNeighbours(x!, out, context),
  quantize: () => ({ integer: {}, constants: {} }),
  evalInteger: ([x], _attrs, _integer, out, context) => copyNeighbours(x!, out, context),
  macsPerRow: () => 0,
  kernel: 'trigrams',
};

function copyNeighbours(x: Matrix, out: Matrix, { rowStart }: EvalContext): void {
  for (let row = 0; row < out.rows; row++) {
    for (let column = 0; column < out.columns; column++) {
      const from = rowStart + row + 1 - Math.floor(column / x.columns);
      const isThere = from >= 0 && from < x.rows;
      out.data[out.offset + row * out.stride + column] = isThere
        ? x.data[x.offset + from * x.stride + (column % x.columns)]!
        : 0;
    }
  }
}
