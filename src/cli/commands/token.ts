import { randomBytes } from 'node:crypto';
import type { Command } from 'commander';
import { hashOfToken } from '../../domain/decision-proof.ts';
import { type CliContext, type CommandOptions, jsonOption } from '../context.ts';
import { UsageFailure } from '../errors.ts';

/** `landfall token [NAME]`: a new token for the operator, and its hash for Landfall. Nothing is kept. */
export function addToken(program: Command, { print, warn }: CliContext): void {
  program
    .command('token')
    .description('make a new token for an operator, and its hash for the environment of Landfall')
    .argument('[name]', 'name of the operator')
    .option(...jsonOption)
    .action(async (name: string | undefined, { json }: Pick<CommandOptions, 'json'>) => {
      const variable = `${variableOf(name ?? 'operator')}_TOKEN_HASH`;
      // The beginning tells people, and tools that look for secrets, what it is.
      const token = `landfall_${randomBytes(32).toString('base64url')}`;
      const hash = await hashOfToken(token);
      if (json) return print(JSON.stringify({ token, hash }, null, 2));
      print(`LANDFALL_TOKEN=${token}`);
      print(`${variable}=${hash}`);
      warn(
        `The first line is for ${name ?? 'the operator'} alone, and is not shown again. The second is for the environment of Landfall; it is a ` +
          `secret too. landfall.yaml: operators: [{ name: ${name ?? 'NAME'}, token: env:${variable}, roles: [operate, approve] }]`,
      );
    });
}

function variableOf(name: string): string {
  const variable = name.toUpperCase().replace(/[^A-Z0-9]+/g, '_');
  if (/^[A-Z]/.test(variable)) return variable;
  throw new UsageFailure(`expected the name of an operator, beginning with a letter, found '${name}'`);
}
