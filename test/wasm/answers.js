// What a module answers in one engine: node answers.js path/to/model.mjs < examples.json prints it.
import { readFileSync } from 'node:fs';
import { pathToFileURL } from 'node:url';

/**
 * The raw integers of every example, by variant; null where the engine has no such SIMD. Stands alone,
 * for a browser is given its text.
 *
 * @param {typeof import('../../firmware-templates/wasm/model.d.ts').load} load
 * @param {import('../../firmware-templates/wasm/model.d.ts').LoadOptions} options
 * @param {readonly {text: string, textPair?: string}[]} examples
 */
export async function answersOf(load, options, examples) {
  /** @type {Record<string, unknown[] | null>} */
  const answers = {};
  for (const variant of /** @type {const} */ (['simd', 'relaxed'])) {
    const model = await load({ ...options, variant }).catch(() => null);
    answers[variant] =
      model && examples.map(({ text, textPair }) => model.classify(text, textPair).logits.flat());
  }
  return answers;
}

const [, script, path] = process.argv;
if (script === import.meta.filename && path !== undefined) {
  const { load } = await import(pathToFileURL(path).href);
  const answers = await answersOf(load, {}, JSON.parse(readFileSync(0, 'utf8')));
  process.stdout.write(JSON.stringify(answers));
}
