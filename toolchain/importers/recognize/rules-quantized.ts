/** Rounding to the integers of a quantized model: the meaning on reals is x, the scale is kept. */
import { type Rule, rule, viewTerm } from './rule.ts';
import type { Term } from './term.ts';

export const quantizedRules: readonly Rule[] = [
  rule(
    'dequantize(quantize(x)) = x, whose scale is kept',
    ['quantize', 'dequantize'],
    (node, [x, scale, zeroPoint], context) => {
      if (x === undefined || x.kind === 'known' || x.kind === 'ids') return null;
      const step = numberOf(scale);
      const zero = zeroPoint === undefined ? 0 : numberOf(zeroPoint);
      if (step === undefined || zero === undefined || !(step > 0)) return null;
      // A function of one element ends where its result is stored.
      const stored = x.kind === 'pointwise' ? viewTerm(x, context) : null;
      if (node.op === 'quantize' && zeroPoint?.kind === 'known') {
        const view = stored ?? (x.kind === 'view' ? x : null);
        const isUnsigned = zeroPoint.value.read() instanceof Uint8Array;
        if (view?.factor === 1) context.storedAs(view.source, step, isUnsigned ? zero - 128 : zero);
      }
      return stored ?? x;
    },
  ),
];

function numberOf(term: Term | undefined): number | undefined {
  return term?.kind === 'known' ? term.value.read()[0] : undefined;
}
