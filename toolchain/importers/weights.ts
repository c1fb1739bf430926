/**
 * The weights of a model by their canonical names, each checked against the shape that is expected of
 * it. What is wrong is collected, so that one error tells all.
 */
import { type Lm2mcuError, userError } from '../errors.ts';
import type { TypedArrayOf } from '../ir/dtypes.ts';
import type { Family } from './families.ts';
import { quote } from './files.ts';
import { type StoredTensor, toFloat32 } from './safetensors.ts';

export interface WeightLoader {
  has(name: string): boolean;
  /** The elements; where they are not as expected, that is noted and an empty array returned. */
  load(name: string, shape: readonly number[]): TypedArrayOf<'float32'>;
  rowsOf(name: string): number | undefined;
  /** Elements of what was loaded, by name. */
  parameters(): ReadonlyMap<string, number>;
  /** Throws one error with all that was noted. */
  finish(architecture: string): void;
}

export function weightLoader(
  stored: ReadonlyMap<string, StoredTensor>,
  { prefix, unused }: Pick<Family, 'prefix' | 'unused'>,
): WeightLoader {
  const problems: string[] = [];
  const tensors = new Map<string, StoredTensor>();
  for (const [storedName, tensor] of stored) {
    const name = canonicalName(storedName, prefix);
    if (tensors.has(name))
      problems.push(`${quote(name)} is there twice, with and without the prefix ${prefix}.`);
    tensors.set(name, tensor);
  }
  const used = new Set<string>();
  const parameters = new Map<string, number>();
  return {
    has: (name) => tensors.has(name),
    rowsOf: (name) => tensors.get(name)?.shape[0],
    parameters: () => parameters,
    load: (name, shape) => {
      const tensor = tensors.get(name);
      used.add(name);
      const expected = `[${shape.join(', ')}]`;
      if (tensor === undefined) problems.push(`${name} is missing, expected ${expected}`);
      else if (tensor.shape.join() !== shape.join()) {
        problems.push(`${name} is [${tensor.shape.join(', ')}], expected ${expected}`);
      } else {
        const values = toFloat32(tensor);
        parameters.set(name, values.length);
        return values;
      }
      return new Float32Array(0);
    },
    finish: (architecture) => {
      for (const name of tensors.keys()) {
        if (!used.has(name) && !unused.test(name)) {
          problems.push(`${quote(name)} has no place in ${architecture}`);
        }
      }
      if (problems.length > 0) throw badWeights(problems);
    },
  };
}

/** As the bare encoder names it, without its prefix; early checkpoints wrote gamma and beta. */
function canonicalName(name: string, prefix: string): string {
  return (name.startsWith(`${prefix}.`) ? name.slice(prefix.length + 1) : name)
    .replace(/\bLayerNorm\.gamma$/, 'LayerNorm.weight')
    .replace(/\bLayerNorm\.beta$/, 'LayerNorm.bias');
}

const maxListed = 20;

function badWeights(problems: readonly string[]): Lm2mcuError {
  const listed = problems.slice(0, maxListed).map((problem) => `\n    ${problem}`);
  const more = problems.length > maxListed ? `\n    and ${problems.length - maxListed} more` : '';
  return userError({
    code: 'bad-weights',
    message: `the weights are not those config.json describes:${listed.join('')}${more}`,
    where: 'config.json and the safetensors files',
    hint: 'Take config.json and weights of one checkpoint; merge adapters into the model first.',
  });
}
