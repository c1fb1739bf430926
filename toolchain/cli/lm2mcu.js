#!/usr/bin/env node
// Starts the command line: the TypeScript sources in a checkout, the compiled ones in a package.
// Plain JavaScript for any Node from 20 on; TypeScript needs the newer Node that `npm ci` brings.
import { spawn } from 'node:child_process';
import { existsSync, realpathSync } from 'node:fs';
import * as nodeModule from 'node:module';
import { constants } from 'node:os';
import { fileURLToPath } from 'node:url';

/** @param {string} path */
const here = (path) => new URL(path, import.meta.url);
/** @param {string} path */
const pathOf = (path) => fileURLToPath(here(path));

const source = './main.ts';
const compiled = '../../dist/toolchain/cli/main.js';
const bundledNode = '../../node_modules/node/bin/node';

// Node 22 and newer keep what they compiled in the temporary folder: half a second less from then on.
nodeModule.enableCompileCache?.();
if (!existsSync(here(source))) await import(here(compiled).href);
else if (existsSync(here(bundledNode)) && !isThisNode(pathOf(bundledNode))) {
  runWith(pathOf(bundledNode));
} else if (process.features.typescript) await import(here(source).href);
else {
  process.stderr.write(
    `error: this checkout needs its own Node, or Node 22.18 and newer; this is ${process.version}\n  hint: npm ci\n`,
  );
  process.exitCode = 2;
}

/** @param {string} path */
function isThisNode(path) {
  return realpathSync(path) === realpathSync(process.execPath);
}

/**
 * Standard streams are passed through as they are, signals and the exit code by hand.
 * @param {string} node
 */
function runWith(node) {
  const child = spawn(node, [fileURLToPath(import.meta.url), ...process.argv.slice(2)], {
    stdio: 'inherit',
  });
  for (const signal of /** @type {const} */ (['SIGINT', 'SIGTERM', 'SIGHUP']))
    process.on(signal, () => child.kill(signal));
  child.on('error', (error) => {
    process.stderr.write(`error: ${node} cannot be started: ${error.message}\n  hint: npm ci\n`);
    process.exitCode = 2;
  });
  child.on('exit', (code, signal) => {
    process.exitCode = code ?? 128 + (signal === null ? 0 : constants.signals[signal]);
  });
}
