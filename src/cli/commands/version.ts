import { readFileSync } from 'node:fs';
import { findPackageJSON } from 'node:module';
import type { Command } from 'commander';
import { type CliContext, jsonOption } from '../context.ts';

export function addVersion(program: Command, { print }: CliContext): void {
  program
    .command('version')
    .description('print the versions of Landfall and of the Node that runs it')
    .option(...jsonOption)
    .action(({ json }: { readonly json?: boolean }) => {
      const versions = { landfall: version(), node: process.versions.node };
      print(json ? JSON.stringify(versions, null, 2) : `landfall ${versions.landfall}, Node ${versions.node}`);
    });
}

/** From package.json, which is another number of folders up in the build than in the sources. */
export function version(): string {
  const file = findPackageJSON(import.meta.url);
  if (file === undefined) throw new Error('expected a package.json above the command, found none');
  const { version }: { readonly version: string } = JSON.parse(readFileSync(file, 'utf8'));
  return version;
}
