/** What others need for the same networks (peers.json: copied, not measured here), and our goals. */
import { readFileSync } from 'node:fs';
import * as z from 'zod';
import { packagePath } from '../../toolchain/package-root.ts';
import { planGoals } from '../../toolchain/schedule/plan.ts';
import { models } from './models.ts';
import { type CoreName, cores } from './options.ts';

const millions = z.number().positive().nullable();
const bytes = z.int().positive();

const peersSchema = z.strictObject({
  source: z.string(),
  unit: z.string(),
  figures: z.array(
    z.strictObject({
      model: z.enum(models),
      tokens: z.int(),
      peer: z.string(),
      /** Of the notes that `source` names. */
      section: z.string(),
      arenaBytes: bytes,
      m4: millions,
      m7: millions,
      m55: millions,
      m55Clang: millions,
    }),
  ),
});

const goalsSchema = z.strictObject({
  meaning: z.string(),
  goals: z.array(
    z.strictObject({
      model: z.enum(models),
      /** Without it: on every core. */
      core: z.enum(cores).optional(),
      tokens: z.int(),
      /** Without it: any plan. */
      plan: z.enum(planGoals).optional(),
      millions: z.number().positive().optional(),
      arenaBytes: bytes.optional(),
      macsFactor: z.number().positive().optional(),
    }),
  ),
});

export type Goal = z.infer<typeof goalsSchema>['goals'][number];

export interface Group {
  readonly model: (typeof models)[number];
  readonly core: CoreName;
  readonly tokens: number;
}

export interface PeerRow {
  readonly name: string;
  readonly section: string;
  readonly arenaBytes: number;
  /** Null: not measured. */
  readonly instructions: number | null;
}

function readJson<T>(file: string, schema: z.ZodType<T>): T {
  return schema.parse(JSON.parse(readFileSync(packagePath('test', 'bench', file), 'utf8')));
}

export const peers = readJson('peers.json', peersSchema);
export const goals = readJson('goals.json', goalsSchema);

/** Which figures of a peer were measured on a core; none on the M33. */
const columns = {
  M4: [['m4', '']],
  M7: [['m7', '']],
  M33: [],
  M55: [
    ['m55', ''],
    ['m55Clang', ' (clang)'],
  ],
} as const satisfies Record<CoreName, unknown>;

export function peersOf({ model, core, tokens }: Group): readonly PeerRow[] {
  return peers.figures
    .filter((figure) => figure.model === model && figure.tokens === tokens)
    .flatMap((figure) =>
      columns[core].map(([column, suffix]) => ({
        name: `${figure.peer}${suffix}`,
        section: figure.section,
        arenaBytes: figure.arenaBytes,
        instructions: figure[column] === null ? null : figure[column] * 1e6,
      })),
    );
}

export function goalsOf({ model, core, tokens }: Group): readonly Goal[] {
  return goals.goals.filter(
    (goal) => goal.model === model && goal.tokens === tokens && (goal.core ?? core) === core,
  );
}
