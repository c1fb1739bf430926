/**
 * `node examples/browser/make-page.ts <folder of lm2mcu build --target wasm> [page.html]`: one page with
 * the whole model in it, which works from a file or from any server.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { packagePath } from '../../toolchain/package-root.ts';

export function makePage(folder: string): string {
  const template = readFileSync(packagePath('examples', 'browser', 'page.html'), 'utf8');
  const wasm = readFileSync(join(folder, 'model.wasm')).toString('base64');
  // Nothing in a script may look like its end.
  const loader = readFileSync(join(folder, 'model.mjs'), 'utf8').replaceAll('</', '<\\/');
  return template
    .replace('/* model.wasm in base64 */', () => wasm)
    .replace('/* model.mjs */', () => loader);
}

const [, script = '', folder, page = 'model.html'] = process.argv;
if (import.meta.url === pathToFileURL(script).href) {
  if (folder === undefined) {
    process.stderr.write('usage: node examples/browser/make-page.ts <folder> [page.html]\n');
    process.exitCode = 1;
  } else {
    writeFileSync(page, makePage(folder));
    process.stdout.write(`${page}\n`);
  }
}
