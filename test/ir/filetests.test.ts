/**
 * Passes on graphs as text. A file is an input graph, a line `; run: pass, pass(argument)`, and what
 * comes out: a graph, or the rules it breaks. BLESS=1 rewrites what comes after the line.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { internalError } from '../../toolchain/errors.ts';
import type { Graph } from '../../toolchain/ir/graph.ts';
import { parseGraphText, printGraph } from '../../toolchain/ir/text.ts';
import { type AnyGraph, verify, violationsOf } from '../../toolchain/ir/verify.ts';
import { packagePath } from '../../toolchain/package-root.ts';
import { attentionForms } from '../../toolchain/passes/attention-forms.ts';
import { fuseEmbedding, fuseLayerNorm } from '../../toolchain/passes/fuse-layer-norm.ts';
import { fuseTable } from '../../toolchain/passes/fuse-table.ts';
import { normalizeAttention } from '../../toolchain/passes/normalize-attention.ts';
import { reorderVocabulary } from '../../toolchain/passes/reorder-vocabulary.ts';
import { rowDemand } from '../../toolchain/passes/row-demand.ts';
import { trimPositions } from '../../toolchain/passes/trim-positions.ts';

type Run = (graph: AnyGraph, argument: string) => AnyGraph;

const runs: Readonly<Record<string, Run>> = {
  print: (graph) => graph,
  [fuseLayerNorm.name]: (graph) => fuseLayerNorm.run(asFloat(graph)),
  [fuseEmbedding.name]: (graph) => fuseEmbedding.run(asFloat(graph)),
  [normalizeAttention.name]: (graph) => normalizeAttention.run(asFloat(graph)),
  [rowDemand.name]: (graph) => rowDemand.run(asFloat(graph)),
  /** Argument: stored groups and absorbed heads. */
  'attention-forms': (graph, form) => {
    const [storedGroups, absorbedHeads] = form.split(' ').map(Number) as [number, number];
    return attentionForms(asFloat(graph), () => ({ storedGroups, absorbedHeads }));
  },
  'trim-positions': (graph, tokens) => trimPositions(asFloat(graph), Number(tokens)),
  'reorder-vocabulary': (graph, ids) =>
    reorderVocabulary(asFloat(graph), Int32Array.from(ids.split(' '), Number)),
  'fuse-table': (graph) => {
    if (graph.stage === 'legal') throw internalError('fuse-table takes no legal graph');
    return graph.stage === 'float' ? fuseTable(graph) : fuseTable(graph);
  },
};

function asFloat(graph: AnyGraph): Graph<'float'> {
  if (graph.stage !== 'float') throw internalError('the pass takes a float graph');
  return graph;
}

/** What the run line asks for, as text. */
function outputOf(input: string, commands: readonly string[]): string {
  let graph = parseGraphText(input);
  if (commands[0] === 'verify') {
    const violations = violationsOf(graph);
    return violations.length === 0 ? '; ok\n' : violations.map((text) => `; ${text}\n`).join('');
  }
  verify(graph);
  for (const command of commands) {
    const [, name, argument = ''] = /^([\w-]+)(?:\((.*)\))?$/.exec(command) ?? [];
    const run = runs[name ?? ''];
    if (run === undefined) throw internalError(`there is no pass '${command}'`);
    graph = run(graph, argument);
    verify(graph);
  }
  return printGraph(graph);
}

const folder = packagePath('test/ir');

test.each(readdirSync(folder).filter((name) => name.endsWith('.ir')))('%s', (name) => {
  const path = join(folder, name);
  const text = readFileSync(path, 'utf8');
  const [, input, line, expected] = /^(.*?)(; run: .*?\n)(.*)$/s.exec(text) ?? [];
  if (input === undefined || line === undefined) throw internalError('no line "; run: …"', name);
  const actual = outputOf(input, line.slice('; run: '.length).trim().split(', '));
  if (process.env['BLESS'] === '1') writeFileSync(path, input + line + actual);
  else expect(actual, `${name}: BLESS=1 rewrites what is expected`).toBe(expected);
});
