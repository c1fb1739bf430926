/** Pieces of the schemas of boards and cores. */
import { existsSync } from 'node:fs';
import * as z from 'zod';
import { packagePath } from '../package-root.ts';

/** Addresses are written `"0x20000000"`, for JSON has no hexadecimal numbers. */
export const address = z
  .string()
  .regex(/^0x[0-9a-fA-F]{1,8}$/, 'an address is written like "0x20000000"')
  .transform((text) => Number.parseInt(text, 16));
export const positive = z.int().positive();
export const identifier = z
  .string()
  .regex(/^[a-z0-9][a-z0-9-]*$/, 'lower case letters, digits, hyphens');

/** A path inside `firmware-templates/<folder>/`, without extension. */
export const template = (folder: string) =>
  identifier.refine((name) => existsSync(packagePath('firmware-templates', folder, `${name}.c`)), {
    message: `no such file in firmware-templates/${folder}/`,
  });
