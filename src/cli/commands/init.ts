import { existsSync } from 'node:fs';
import { readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { Command } from 'commander';
import type { Kinds } from '../../config/kinds.ts';
import type { StarterServices } from '../../config/starter-services.ts';
import { codeOf } from '../../domain/errors.ts';
import { type CliContext, configOption } from '../context.ts';
import { CommandFailure } from '../errors.ts';
import { plain } from '../terminal.ts';

interface InitOptions {
  readonly config: string;
  readonly print?: boolean;
}

export function addInit(program: Command, context: CliContext): void {
  program
    .command('init')
    .description('write a landfall.yaml for the services of a file that says what runs, such as docker-compose.yml')
    .argument('[file]', 'default: the one that is in the folder')
    .option('--print', 'print it, and write nothing')
    .option(...configOption(context))
    .action(async (given: string | undefined, { config, print = false }: InitOptions) => {
      const kinds = await context.loadKinds();
      const file = given ?? (await findFile(config, kinds));
      const found = await readServices(file, kinds);
      const { starterWith } = await import('../../config/starter-services.ts');
      const text = starterWith(kinds, found, file);
      if (print) return context.print(text.trimEnd());
      await writeNew(config, text);
      const { length } = found.entries;
      context.print(`${config}: written, with ${length} ${length === 1 ? 'service' : 'services'} of ${file}`);
      for (const line of found.leftOut) context.warn(`left out: ${plain(line)}`);
      context.print(`Next: look it over, then ${context.command} config check --connect, and ${context.command} start`);
    });
}

function startersOf({ deploys }: Kinds) {
  return deploys.flatMap(({ starter }) => starter ?? []);
}

async function findFile(config: string, kinds: Kinds): Promise<string> {
  const names = startersOf(kinds).flatMap(({ files }) => files);
  const found = names.map((name) => join(dirname(config), name)).find((path) => existsSync(path));
  if (found !== undefined) return found;
  throw new CommandFailure(`expected one of ${names.join(', ')} here, found none: name the file`);
}

/** Of the first kind that understands it. */
async function readServices(file: string, kinds: Kinds): Promise<StarterServices> {
  const text = await readFile(file, 'utf8').catch((error: unknown) => {
    throw new CommandFailure(`expected a readable file ${file}, found ${String(codeOf(error) ?? error)}`);
  });
  const problems: string[] = [];
  for (const { read } of startersOf(kinds)) {
    const found = await read(text, file);
    if (!('problem' in found)) return found;
    problems.push(found.problem);
  }
  throw new CommandFailure(`${file} says nothing of services: ${problems.join('; ')}`);
}

/** Never over one that somebody has written. */
async function writeNew(file: string, text: string): Promise<void> {
  try {
    await writeFile(file, text, { flag: 'wx' });
  } catch (error) {
    const why = codeOf(error) === 'EEXIST' ? 'is there already' : `cannot be written (${String(codeOf(error) ?? error)})`;
    throw new CommandFailure(`${file} ${why}: with --print, what would be written is printed`);
  }
}
