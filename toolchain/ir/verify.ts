/**
 * What must hold of a graph between any two passes.
 *
 * In every stage:
 *  1. A tensor stands under its own name; names of tensors and nodes are of letters, digits and
 *     _ . @ # / + -.
 *  2. Rows are a positive number or 'tokens', columns a positive number.
 *  3. Constants have data, of their dtype and as many elements as the shape says; no other tensor
 *     has data.
 *  4. Inputs are exactly the tensors of role `input`, and are integers; outputs exist.
 *  5. Single assignment in order: an activation is the output of exactly one node, which stands
 *     before every reader. Nodes make nothing but activations.
 *  6. A node has the operands of its op: as many (or more, if variadic), constants where the op reads
 *     constants, [1, 1] where it reads a scalar, and shapes that go together.
 *  7. The output's shape is the one the op table infers.
 *  8. Attributes are of the op's form.
 *
 * `float`: `integer` is null; activations are float32 without quantization. So are constants, or they
 * are int8 or int4 with positive scales, zero point 0 and nothing below −127 or −7; or uint8 or uint16
 * without a scale, which are codes and no reals.
 *
 * `quantized` and `legal`:
 *  9. Every op has an integer form and every node carries it, complete.
 * 10. No tensor is float32.
 * 11. Activations are affine, with a positive scale and a zero point within the dtype; scales of
 *     constants are positive, one a row where they are per row. Only constants are int4.
 * 12. Symmetric operands have zero point 0.
 * 13. The output of an op that keeps the quantization has dtype and quantization of its operands.
 *
 * `legal`:
 * 14. Every op has a kernel or is a view; an output is no view.
 *
 * Not checked: that scales agree with multipliers, and that the numbers are any good.
 */
import type { z } from 'zod';
import { internalError } from '../errors.ts';
import { sameShape } from '../ops/form.ts';
import { type OpName, operandOf, opOf, ops } from '../ops/index.ts';
import { allocate, dtypes } from './dtypes.ts';
import type { Graph, Node, Stage, Tensor } from './graph.ts';

/** A graph that was read: `stage` tells which it is. */
export type AnyGraph = { [S in Stage]: Graph<S> }[Stage];

/** Throws an internal error that lists every broken rule. */
export function verify(graph: Graph<Stage>): void {
  const violations = violationsOf(graph);
  if (violations.length === 0) return;
  const listed = violations.slice(0, 20).map((violation) => `\n    ${violation}`);
  throw internalError(
    `the ${graph.stage} graph breaks ${violations.length} rules:${listed.join('')}`,
    graph.name,
  );
}

/** A sentence for each broken rule, beginning with the tensor or node. */
export function violationsOf(graph: Graph<Stage>): readonly string[] {
  const violations = Object.entries(graph.tensors).flatMap(([key, tensor]) =>
    tensorViolations(graph, key, tensor).map((text) => `tensor ${key}: ${text}`),
  );
  violations.push(...endViolations(graph));
  const made = new Set<string>();
  for (const node of graph.nodes) {
    const found = nodeViolations(graph, node, made);
    violations.push(...found.map((text) => `node ${node.name} (${node.op}): ${text}`));
    made.add(node.output);
  }
  for (const [name, { role }] of Object.entries(graph.tensors)) {
    if (role === 'activation' && !made.has(name))
      violations.push(`tensor ${name}: no node makes it`);
  }
  return violations;
}

/** What a name may look like; the text form relies on it. */
export const namePattern = /^\w[\w.@#/+-]*$/;

function tensorViolations(graph: Graph<Stage>, key: string, tensor: Tensor): string[] {
  const { name, role, dtype, shape, data } = tensor;
  const [rows, columns] = shape;
  const found: string[] = [];
  if (name !== key) found.push(`it calls itself ${JSON.stringify(name)}`);
  if (!namePattern.test(key)) found.push('the name has characters that names may not have');
  if (!(rows === 'tokens' || isCount(rows)) || !isCount(columns)) {
    found.push(`[${shape.join(', ')}] is no shape`);
    return found;
  }
  if (role !== 'constant') {
    if (data !== undefined) found.push(`it is of role ${role} and has data`);
  } else if (rows === 'tokens') found.push('it is constant, but its rows depend on the tokens');
  else if (data === undefined) found.push('it is constant and has no data');
  else if (data.constructor !== allocate(dtype, 0).constructor) {
    found.push(`it is ${dtype}, its data is ${data.constructor.name}`);
  } else if (data.length !== rows * columns) {
    found.push(`[${shape.join(', ')}] needs ${rows * columns} elements, it has ${data.length}`);
  }
  if (role === 'input') {
    if (dtype === 'float32') found.push('it is an input and float32');
  } else if (graph.stage === 'float') {
    found.push(...floatStageViolations(tensor));
  } else found.push(...quantViolations(tensor));
  if (dtype === 'int4') found.push(...int4Violations(tensor));
  return found;
}

function floatStageViolations(tensor: Tensor): string[] {
  const { role, dtype, quant, data } = tensor;
  if (dtype === 'float32') {
    return quant === undefined ? [] : ['it is float32 and quantized'];
  }
  if (role === 'constant' && (dtype === 'uint8' || dtype === 'uint16')) {
    return quant === undefined ? [] : [`it is ${dtype} in a float graph and has a scale`];
  }
  if (role !== 'constant' || (dtype !== 'int8' && dtype !== 'int4')) {
    return [`it is ${dtype} in a float graph`];
  }
  if (quant === undefined) return [`it is ${dtype} and has no scale`];
  const found = quantViolations(tensor);
  if (quant.kind === 'affine' && quant.zeroPoint !== 0) {
    found.push(`the zero point is ${quant.zeroPoint}, stored reals have 0`);
  }
  const { min } = dtypes[dtype];
  if (data?.includes(min)) found.push(`it has ${min}, stored reals end at ${min + 1}`);
  return found;
}

function int4Violations({ role, data }: Tensor): string[] {
  if (role !== 'constant') return [`it is of role ${role} and int4`];
  const { min, max } = dtypes.int4;
  const fits = data?.every((code: number) => code >= min && code <= max) ?? true;
  return fits ? [] : [`an element is not within ${min} … ${max}`];
}

function isCount(value: unknown): boolean {
  return Number.isSafeInteger(value) && (value as number) > 0;
}

function quantViolations({ role, dtype, shape, quant }: Tensor): string[] {
  if (dtype === 'float32') return ['it is float32 in an integer graph'];
  const isScale = (scale: number) => scale > 0 && Number.isFinite(scale);
  switch (quant?.kind) {
    case undefined:
      return role === 'constant' ? [] : ['it has no quantization'];
    case 'per-row':
      if (role !== 'constant') return ['it is no constant and quantized per row'];
      if (quant.scales.length !== shape[0]) {
        return [`it has ${shape[0]} rows and ${quant.scales.length} scales`];
      }
      return quant.scales.every(isScale) ? [] : ['a scale is not positive'];
    case 'affine': {
      const { min, max } = dtypes[dtype];
      const { scale, zeroPoint } = quant;
      if (!isScale(scale)) return [`the scale ${scale} is not positive`];
      return Number.isInteger(zeroPoint) && zeroPoint >= min && zeroPoint <= max
        ? []
        : [`the zero point ${zeroPoint} is no ${dtype}`];
    }
  }
}

function endViolations(graph: Graph<Stage>): string[] {
  const found: string[] = [];
  const inputs = new Set(graph.inputs);
  for (const name of inputs) {
    if (tensorOrNull(graph, name)?.role !== 'input') found.push(`input ${name}: no such tensor`);
  }
  if (inputs.size !== graph.inputs.length) found.push('an input is listed twice');
  for (const [name, { role }] of Object.entries(graph.tensors)) {
    if (role === 'input' && !inputs.has(name))
      found.push(`tensor ${name}: it is not in the inputs`);
  }
  if (graph.outputs.length === 0) found.push('there is no output');
  for (const name of graph.outputs) {
    if (tensorOrNull(graph, name)?.role !== 'activation') {
      found.push(`output ${name}: no such activation`);
    }
    const maker = graph.nodes.find(({ output }) => output === name);
    if (graph.stage === 'legal' && maker !== undefined && opOf(maker.op).isView) {
      found.push(`output ${name}: it is only a view of ${maker.inputs.join(', ')}`);
    }
  }
  return found;
}

function nodeViolations(graph: Graph<Stage>, node: Node, made: ReadonlySet<string>): string[] {
  const output = tensorOrNull(graph, node.output);
  if (output === undefined) return [`its output ${node.output} does not exist`];
  const operands: Tensor[] = [];
  for (const name of node.inputs) {
    const tensor = tensorOrNull(graph, name);
    if (tensor === undefined) return [`its operand ${name} does not exist`];
    if (tensor.role === 'activation' && !made.has(name))
      return [`${name} is read before it is made`];
    operands.push(tensor);
  }
  const found: string[] = [];
  if (!namePattern.test(node.name)) found.push('the name has characters that names may not have');
  if (output.role !== 'activation')
    found.push(`its output ${node.output} is of role ${output.role}`);
  if (made.has(node.output)) found.push(`${node.output} is made a second time`);
  const { operands: expected, variadic } = opOf(node.op);
  const count = operands.length;
  if (variadic ? count < expected.length : count !== expected.length) {
    return [...found, `it has ${count} operands, the op has ${expected.length}`];
  }
  return [
    ...found,
    ...shapeViolations(node, operands, output),
    ...(graph.stage === 'float'
      ? floatViolations(node)
      : integerViolations(graph, node, operands, output)),
  ];
}

function shapeViolations(node: Node, operands: readonly Tensor[], output: Tensor): string[] {
  const found: string[] = [];
  for (const [index, { name, role, shape }] of operands.entries()) {
    const operand = operandOf(node.op, index);
    if (operand.reads === 'constant' && role !== 'constant') {
      found.push(`operand ${operand.name} must be constant, ${name} is of role ${role}`);
    }
    if (operand.reads === 'scalar' && !sameShape(shape, [1, 1])) {
      found.push(`operand ${operand.name} must be [1, 1], ${name} is [${shape.join(', ')}]`);
    }
  }
  const { form, infer } = opOf(node.op);
  const attrs = form.attrs.safeParse(node.attrs);
  if (!attrs.success) return [...found, `its attributes are not as expected: ${firstIssue(attrs)}`];
  const shapes = operands.map(({ shape }) => shape);
  const printed = shapes.map((shape) => `[${shape.join(', ')}]`).join(' ');
  if (!form.fits(shapes, node.attrs))
    return [...found, `its operands ${printed} do not go together`];
  const inferred = infer(shapes, node.attrs);
  if (!sameShape(inferred, output.shape)) {
    found.push(`its output is [${output.shape.join(', ')}], [${inferred.join(', ')}] is inferred`);
  }
  return found;
}

function floatViolations(node: Node): string[] {
  return node.integer === null ? [] : ['it has an integer form in a float graph'];
}

function integerViolations(
  graph: Graph<Stage>,
  node: Node,
  operands: readonly Tensor[],
  output: Tensor,
): string[] {
  const op = opOf(node.op);
  const found: string[] = [];
  if (graph.stage === 'legal' && op.kernel === null && op.isView !== true) {
    found.push('the op has no kernel and is no view');
  }
  const integer = opOf(node.op)
    .form.integer(
      operands.map(({ shape }) => shape),
      node.attrs,
    )
    .safeParse(node.integer);
  if (!integer.success) found.push(`its integer form is not as expected: ${firstIssue(integer)}`);
  for (const [index, tensor] of operands.entries()) {
    const { name, symmetric } = operandOf(node.op, index);
    if (symmetric && tensor.quant?.kind === 'affine' && tensor.quant.zeroPoint !== 0) {
      found.push(
        `operand ${name} must have zero point 0, ${tensor.name} has ${tensor.quant.zeroPoint}`,
      );
    }
    if (op.sameQuantAsInputs && !sameQuant(tensor, output)) {
      found.push(`its output must have the dtype and quantization of ${tensor.name}`);
    }
  }
  return found;
}

function sameQuant(a: Tensor, b: Tensor): boolean {
  return (
    a.dtype === b.dtype &&
    a.quant?.kind === 'affine' &&
    b.quant?.kind === 'affine' &&
    a.quant.scale === b.quant.scale &&
    a.quant.zeroPoint === b.quant.zeroPoint
  );
}

function tensorOrNull(graph: Graph<Stage>, name: string): Tensor | undefined {
  return Object.hasOwn(graph.tensors, name) ? graph.tensors[name] : undefined;
}

function firstIssue({ error }: { readonly error: z.ZodError }): string {
  const [issue] = error.issues;
  const path = issue?.path.join('.') ?? '';
  return path === '' ? `${issue?.message}` : `${path}: ${issue?.message}`;
}

export function isOpName(name: string): name is OpName {
  return Object.hasOwn(ops, name);
}
