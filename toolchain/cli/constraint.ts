/** The flags of `build` that say what a model may generate. */
import type { Manifest } from '../build/manifest.ts';
import {
  type ConstraintKind,
  type ConstraintSource,
  constraintKinds,
} from '../constrain/constraint.ts';
import { userError } from '../errors.ts';
import { readTextFile } from './text-file.ts';

export const constraintOptions = {
  'json-schema': {
    type: 'string',
    requiresArg: true,
    describe:
      'Of a model that generates: it writes only compact JSON that meets this schema (a file)',
  },
  pattern: {
    type: 'string',
    requiresArg: true,
    describe: 'It writes only texts that this regular expression matches as a whole',
  },
  commands: {
    type: 'string',
    requiresArg: true,
    describe: 'It writes one of the commands in this file, one a line',
  },
} as const;

interface Flags {
  readonly jsonSchema?: string | undefined;
  readonly pattern?: string | undefined;
  readonly commands?: string | undefined;
}

export interface GivenConstraint {
  readonly source: ConstraintSource;
  /** For the manifest: a pattern as it is, of files the hash. */
  readonly options: Manifest['options'];
  readonly digests: Readonly<Record<string, string>>;
}

const fileForms = {
  'json-schema': 'It holds one JSON schema.',
  commands: 'Each line is one command.',
} as const satisfies Partial<Record<ConstraintKind, string>>;

/** Null: none was given. */
export function readConstraint(flags: Flags): GivenConstraint | null {
  const given: Readonly<Record<ConstraintKind, string | undefined>> = {
    'json-schema': flags.jsonSchema,
    pattern: flags.pattern,
    commands: flags.commands,
  };
  const [kind, other] = constraintKinds.filter((one) => given[one] !== undefined);
  if (kind === undefined) return null;
  if (other !== undefined) throw severalConstraints(kind, other);
  const value = given[kind]!;
  if (kind === 'pattern') {
    return { source: { kind, text: value }, options: { pattern: value }, digests: {} };
  }
  const { text, digest } = readTextFile(value, fileForms[kind]);
  return { source: { kind, text, file: value }, options: {}, digests: { constraint: digest } };
}

function severalConstraints(kind: ConstraintKind, other: ConstraintKind) {
  return userError({
    code: 'several-constraints',
    message: `--${kind} and --${other} were both given; a build has one constraint`,
    hint: 'Write one that says both, or build twice.',
  });
}
