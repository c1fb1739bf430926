/**
 * The residual stream of an encoder whose layers normalize for themselves: sums of sums, which are
 * kept in int16. Encoders that normalize each sum have none.
 */
import { inputsOf, sourcesOf } from './outline.ts';
import type { Source, SourceOf } from './source.ts';

export interface ResidualStream {
  /** Empty: sums are int8. */
  readonly stream: ReadonlySet<Source>;
  /** What is read by others than the stream, too. */
  readonly readBeside: ReadonlySet<Source>;
}

export function residualStream(output: Source): ResidualStream {
  const all = sourcesOf(output);
  const readers = new Map<Source, Source[]>(all.map((one) => [one, []]));
  for (const one of all) for (const input of inputsOf(one)) readers.get(input)!.push(one);
  const sums = all.filter((one) => one.kind === 'add');
  const chained = sums.filter((sum) =>
    [...inputsOf(sum), ...readers.get(sum)!].some(({ kind }) => kind === 'add'),
  );
  const isStream = chained.every((sum) => canBeWide(sum, readers.get(sum)!));
  const stream = new Set<Source>(isStream ? chained : []);
  const isReadBeside = (one: Source) => readers.get(one)!.some((reader) => !stream.has(reader));
  return { stream, readBeside: new Set(all.filter(isReadBeside)) };
}

/** Sums, products and norms can be made in int16; sums and norms read it. */
function canBeWide({ a, b }: SourceOf<'add'>, readers: readonly Source[]): boolean {
  return (
    [a, b].every(({ kind }) => ['add', 'linear', 'layerNorm'].includes(kind)) &&
    readers.length > 0 &&
    readers.every(({ kind }) => ['add', 'layerNorm'].includes(kind))
  );
}
