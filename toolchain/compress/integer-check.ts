/**
 * A recipe as the image will have it: the bytes of what is emitted, and what the integers lose against
 * the float model. The search computes with real numbers and adds up the sizes of parts; here both are
 * looked at.
 */
import { interpret } from '../emulate/interpreter.ts';
import { compactEncoder, parseStoredModel } from '../emulate/stored-model.ts';
import { outputScale } from '../ir/graph.ts';
import { type CompileRequest, compile } from '../pipeline.ts';
import type { Interval } from './bootstrap.ts';
import { accuracyDropInterval, type OutputLoss, outputLossOf, type TextRows } from './measure.ts';
import { type ClassifiedExample, codeBytes, withRoom } from './prepare.ts';

export interface IntegerLoss extends OutputLoss {
  readonly texts: number;
  readonly interval: Interval | null;
}

/** Of the whole image; its code is a constant that no kernel set exceeds. */
export function emittedBytes(request: CompileRequest): number {
  const { constantSizes } = compile({
    ...request,
    target: withRoom(request.target),
    // Sizes do not depend on the texts.
    calibration: request.calibration?.slice(0, 2) ?? null,
  });
  return codeBytes + Object.values(constantSizes).reduce((sum, bytes) => sum + bytes, 0);
}

/** `reference`: the float model on the same texts. */
export async function integerLoss(
  request: CompileRequest,
  reference: TextRows,
  texts: readonly ClassifiedExample[],
  isVector: boolean,
  progress: (done: number, total: number) => Promise<void>,
): Promise<IntegerLoss> {
  const { graphBin } = compile({ ...request, target: withRoom(request.target) });
  const model = parseStoredModel(graphBin);
  const tokens = compactEncoder(model, model.maxTokens);
  const scale = outputScale(model.graph);
  const rows: Float32Array[] = [];
  for (const [index, text] of texts.entries()) {
    await progress(index, texts.length);
    const [answer] = interpret(model.graph, tokens(text));
    rows.push(Float32Array.from(answer!.data, (value) => value * scale));
  }
  const changed = { columns: reference.columns, rows };
  const labels = texts.map((text) => ({ label: text.class }));
  return {
    ...outputLossOf(reference, changed, labels, isVector),
    texts: texts.length,
    interval: accuracyDropInterval(reference, changed, labels),
  };
}
