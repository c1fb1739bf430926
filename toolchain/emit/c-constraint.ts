/** A constraint as C constants (`kernels/c/constraint.h`). */
import type { Constraint } from '../constrain/constraint.ts';
import { sectionMacros } from './c-constants.ts';
import { type ConstantArray, constantArray, initializer, longStrings } from './c-text.ts';

export const constraintDeclaration = `
#include "kernels/constraint.h"

extern const lm_constraint model_constraint;
`;

export function constraintSource(constraint: Constraint): string {
  const { tokens, classes, rows, rowStarts, edgeClasses, edgeSteps, ...others } = constraint;
  const array = (
    name: string,
    ctype: string,
    data: ConstantArray['data'],
    comment: string,
  ): ConstantArray => {
    const section = sectionMacros.constraint;
    return { name: `constraint_${name}`, ctype, data, comment, isStatic: true, section };
  };
  const arrays = [
    ...(tokens === null ? [] : [array('tokens', 'uint16_t', tokens, 'tokens that have a class')]),
    array('classes', 'uint8_t', bytesOf(classes), 'the class of each token, low byte first'),
    array('rows', 'uint16_t', rows, 'the row of edges of each state'),
    array('row_starts', 'uint16_t', rowStarts, 'the first edge of each row'),
    array('edge_classes', 'uint8_t', bytesOf(edgeClasses), 'the class of each edge'),
    array('edge_steps', 'uint16_t', edgeSteps, 'from a state to the next one'),
    array('distances', 'uint16_t', others.distances, 'tokens to a complete text, by state'),
  ];
  const struct = initializer({
    tokens: tokens === null ? 'NULL' : 'constraint_tokens',
    classes: 'constraint_classes',
    rows: 'constraint_rows',
    row_starts: 'constraint_row_starts',
    edge_classes: 'constraint_edge_classes',
    edge_steps: 'constraint_edge_steps',
    distances: 'constraint_distances',
    listed: classes.length,
    first_single: others.firstSingle,
    class_bytes: classes.BYTES_PER_ELEMENT,
    has_end: String(others.hasEnd),
  });
  return `#include <stddef.h>

#include "lm2mcu_model.h"
#include "model_constants.h"

${longStrings}
${arrays.map(constantArray).join('\n')}
const lm_constraint model_constraint ${sectionMacros.constraint} = ${struct};
`;
}

function bytesOf(array: Uint8Array | Uint16Array): Uint8Array {
  return new Uint8Array(array.buffer, array.byteOffset, array.byteLength);
}
