/** `lm2mcu report`: the memory budget of a build, or what changed between two. */
import { userError } from '../errors.ts';
import { diffReports } from '../report/diff.ts';
import {
  type DiffFormat,
  diffFormats,
  type ReportFormat,
  renderDiff,
  renderReport,
  reportFormats,
} from '../report/render.ts';
import { readReport } from './built.ts';
import { defineCommand } from './command.ts';

export const reportCommand = defineCommand({
  usage: 'report <dir>',
  summary: 'Show the memory budget of a build, or what changed between two',
  positionals: {
    dir: { type: 'string', demandOption: true, describe: 'The folder that lm2mcu build wrote' },
  },
  options: {
    format: {
      choices: reportFormats,
      default: 'text',
      requiresArg: true,
      describe: 'How to show it; html is one file that needs no network',
    },
    diff: {
      type: 'string',
      requiresArg: true,
      describe: 'Another folder that lm2mcu build wrote: what changed from it to <dir>',
    },
  },
  examples: [
    ['lm2mcu report build/sections', 'Flash, RAM and work, part by part'],
    ['lm2mcu report build/sections --diff build/before --format md', 'A table for a pull request'],
  ],
  async run({ dir, format, diff }, { color }) {
    const report = readReport(dir);
    if (diff === undefined) {
      return { json: report, text: renderReport(report, format as ReportFormat, { color }) };
    }
    const change = diffReports(readReport(diff), report);
    return { json: change, text: renderDiff(change, diffFormatOf(format), { color }) };
  },
});

function diffFormatOf(format: string): DiffFormat {
  const found = diffFormats.find((name) => name === format);
  if (found !== undefined) return found;
  throw userError({
    code: 'bad-format',
    message: `a difference cannot be shown as ${format}`,
    hint: `Use --format ${diffFormats.join(', --format ')}.`,
  });
}
