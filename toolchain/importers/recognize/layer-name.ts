/** The user's layer that a node belongs to, as a name that our graphs may have. */
import { withoutMarks } from '../../ir/derived-names.ts';
import type { PrimitiveNode } from '../primitive/graph.ts';

/** `/bert/encoder/layer.0/output/dense/MatMul` is of `bert.encoder.layer.0.output.dense`. */
export function layerOf({ name, userOp }: PrimitiveNode): string {
  const parts = name.split(/[/.]/).filter((part) => part !== '');
  const last = parts.at(-1) ?? '';
  const isOp = last.replace(/_\d+$/, '').toLowerCase() === userOp.toLowerCase();
  const layer = (isOp && parts.length > 1 ? parts.slice(0, -1) : parts).join('.');
  return validName(layer === '' ? userOp : layer);
}

const maxNameLength = 120;

/** As `namePattern` of the verifier allows. */
export function validName(name: string): string {
  const safe = withoutMarks(name)
    .replace(/[^\w./+-]/g, '_')
    .slice(0, maxNameLength);
  return /^\w/.test(safe) ? safe : `_${safe}`;
}
