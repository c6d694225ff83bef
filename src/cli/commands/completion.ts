import type { Command } from 'commander';
import type { CliContext } from '../context.ts';
import { UsageFailure } from '../errors.ts';

const shells = ['bash', 'zsh', 'fish'] as const;
type Shell = (typeof shells)[number];

/** Of this very program, so that no list of commands has to be kept beside it. */
export function addCompletion(program: Command, context: CliContext): void {
  program
    .command('completion')
    .description('print what completes commands and options in a shell; docs/operating.md says where it goes')
    .argument('<shell>', shells.join(', '))
    .action((given: string) => {
      const shell = shells.find((known) => known === given);
      if (shell === undefined) throw new UsageFailure(`expected ${shells.join(', ')}, found '${given}'`);
      for (const line of scripts[shell](wordsOf(program))) context.print(line);
    });
}

interface CommandWords {
  /** `config check`: what is typed before its options; empty: the program itself. */
  readonly path: string;
  readonly description: string;
  readonly words: readonly { readonly word: string; readonly description: string }[];
}

/** What may follow each command: its subcommands and long options. */
function wordsOf(command: Command, path: readonly string[] = []): CommandWords[] {
  const subcommands = command.commands.map((sub) => ({ word: sub.name(), description: firstClause(sub.description()) }));
  const options = [
    ...command.options.flatMap(({ long, description }) => (long ? [{ word: long, description: firstClause(description) }] : [])),
  ];
  const words = [...subcommands, ...options, { word: '--help', description: 'what it can be told' }];
  const own = { path: path.join(' '), description: firstClause(command.description()), words };
  return [own, ...command.commands.flatMap((sub) => wordsOf(sub, [...path, sub.name()]))];
}

function firstClause(text: string): string {
  return text.split(/[:;,(]/, 1)[0]?.trim() ?? '';
}

const scripts: Readonly<Record<Shell, (commands: readonly CommandWords[]) => string[]>> = {
  bash: forBash,
  zsh: forZsh,
  fish: forFish,
};

/** The path is what was typed up to the first option; `case` finds what may follow it. */
function forBash(commands: readonly CommandWords[]): string[] {
  return [
    '_landfall() {',
    '  local path="" word words',
    `  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do`,
    `    case "$path\${path:+ }$word" in`,
    `      ${casesOf(commands)}) path="$path\${path:+ }$word" ;;`,
    '    esac',
    '  done',
    '  case "$path" in',
    ...commands.map(({ path, words }) => `    '${path}') words='${words.map(({ word }) => word).join(' ')}' ;;`),
    '  esac',
    `  COMPREPLY=($(compgen -W "$words" -- "\${COMP_WORDS[COMP_CWORD]}"))`,
    '}',
    'complete -o default -F _landfall landfall',
  ];
}

function casesOf(commands: readonly CommandWords[]): string {
  return commands.flatMap(({ path }) => (path === '' ? [] : [`'${path}'`])).join('|');
}

function forZsh(commands: readonly CommandWords[]): string[] {
  const quoted = (text: string) => text.replaceAll("'", "'\\''").replaceAll(':', '\\:');
  return [
    '#compdef landfall',
    '_landfall() {',
    '  local path="" word',
    '  local -a known',
    `  for word in "\${(@)words[2,CURRENT-1]}"; do`,
    `    case "$path\${path:+ }$word" in`,
    `      (${casesOf(commands)}) path="$path\${path:+ }$word" ;;`,
    '    esac',
    '  done',
    '  case "$path" in',
    ...commands.map(
      ({ path, words }) =>
        `    ('${path}') known=(${words.map(({ word, description }) => `'${quoted(word)}:${quoted(description)}'`).join(' ')}) ;;`,
    ),
    '  esac',
    "  _describe 'landfall' known || _files",
    '}',
    'if [ "$funcstack[1]" = "_landfall" ]; then _landfall "$@"; else compdef _landfall landfall; fi',
  ];
}

function forFish(commands: readonly CommandWords[]): string[] {
  const quoted = (text: string) => text.replaceAll("'", "\\'");
  const names = commands.flatMap(({ path }) => (path === '' || path.includes(' ') ? [] : [path]));
  return commands.flatMap(({ path, words }) => {
    const [name, sub] = path.split(' ');
    const seen = [name, sub].flatMap((word) => (word ? [`__fish_seen_subcommand_from ${word}`] : []));
    const condition = seen.length === 0 ? `not __fish_seen_subcommand_from ${names.join(' ')}` : seen.join('; and ');
    return words.map(({ word, description }) => {
      const what = word.startsWith('--') ? `-l ${word.slice(2)}` : `-f -a ${word}`;
      return `complete -c landfall -n '${condition}' ${what} -d '${quoted(description)}'`;
    });
  });
}
