/** What the inputs of the user's graph are: token ids, segments, the padding mask, positions. */
import { userError } from '../../errors.ts';
import { quote } from '../files.ts';
import type { PrimitiveGraph, PrimitiveInput } from '../primitive/graph.ts';
import { type InputRole, inputShape } from './recognize.ts';

const patterns: readonly (readonly [InputRole, RegExp])[] = [
  ['mask', /mask/i],
  ['segment', /segment|type/i],
  ['position', /position/i],
  ['token', /ids|token|word|input/i],
];

export function rolesOf(graph: PrimitiveGraph, file: string): ReadonlyMap<string, InputRole> {
  const used = new Set(graph.nodes.flatMap(({ inputs }) => inputs));
  const inputs = graph.inputs.filter(({ name }) => used.has(name));
  const roles = new Map<string, InputRole>();
  for (const { name } of inputs) {
    const role = patterns.find(([, pattern]) => pattern.test(name))?.[0];
    if (role !== undefined) roles.set(name, role);
  }
  // One input is the text, however it is called.
  const [only] = inputs;
  if (only !== undefined && inputs.length === 1) roles.set(only.name, 'token');
  const isClear =
    inputs.every(({ name }) => roles.has(name)) &&
    ['token', 'segment'].every((role) => [...roles.values()].filter((r) => r === role).length <= 1);
  if (isClear && [...roles.values()].includes('token')) return roles;
  throw userError({
    code: 'unsupported-model',
    message: `the inputs of the graph are not those of a text model: ${inputs.map(({ name }) => quote(name)).join(', ')}`,
    where: file,
    hint: 'Name them input_ids, attention_mask and token_type_ids when the model is exported.',
  });
}

/** The number of tokens of a graph that takes texts of one length only. */
export function fixedTokens(
  graph: PrimitiveGraph,
  roles: ReadonlyMap<string, InputRole>,
): number | undefined {
  const input = graph.inputs.find(({ name }) => roles.get(name) === 'token');
  if (input === undefined) return undefined;
  const size = input.shape?.[tokenAxis(input)];
  return typeof size === 'number' && size > 1 ? size : undefined;
}

function tokenAxis(input: PrimitiveInput): number {
  return inputShape(input, 2).indexOf(2);
}
