/**
 * `manifest.json`: what a build was made of and what it made, by hash. It holds no time and no path
 * of this machine, so two builds of the same inputs are the same bytes.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import * as z from 'zod';
import { userError } from '../errors.ts';

export const manifestFile = 'manifest.json';

const digest = z.string().regex(/^sha256:[0-9a-f]{64}$/, 'a digest is written "sha256:…"');

const manifestSchema = z.object({
  schema: z.literal(1),
  tool: z.object({ name: z.literal('lm2mcu'), version: z.string() }),
  /** As the user gave them, with defaults filled in. */
  options: z.record(z.string(), z.union([z.string(), z.number(), z.null()])),
  /** The C compiler's own version; null where nothing was compiled. */
  compiler: z.string().nullable(),
  inputs: z.record(z.string(), digest),
  outputs: z.record(z.string(), digest),
});

export type Manifest = Readonly<z.infer<typeof manifestSchema>>;

export function formatManifest(manifest: Manifest): string {
  return `${JSON.stringify(manifest, null, 2)}\n`;
}

/** `shownAs`: the folder's name in errors. */
export function readManifest(folder: string, shownAs = folder): Manifest {
  let json: unknown;
  try {
    json = JSON.parse(readFileSync(join(folder, manifestFile), 'utf8'));
  } catch (cause) {
    throw badManifest(cause instanceof Error ? cause.message : String(cause), shownAs);
  }
  const parsed = manifestSchema.safeParse(json);
  if (!parsed.success) {
    const keys = parsed.error.issues.map(({ path }) => path.join('.') || 'all of it');
    throw badManifest(`wrong is ${keys.slice(0, 5).join(', ')}`, shownAs);
  }
  return parsed.data;
}

function badManifest(reason: string, folder: string): Error {
  return userError({
    code: 'bad-manifest',
    message: `manifest.json is not as lm2mcu writes it: ${reason}`,
    where: join(folder, manifestFile),
    hint: 'Give another folder, or move this one away.',
  });
}
