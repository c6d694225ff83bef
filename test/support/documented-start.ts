import { readFileSync } from 'node:fs';

const text = readFileSync(new URL('../../docs/start-github-compose.md', import.meta.url), 'utf8');

/** What docs/start-github-compose.md has somebody write and type, so that tests load and run just that. */
export interface DocumentedStart {
  readonly composeFile: string;
  readonly configuration: string;
  /** Every line of its shell blocks. */
  readonly lines: readonly string[];
  /** Those of the command, without `landfall`. */
  readonly commands: readonly string[];
  /** What the token for the deployment repository may, as the emulator of GitHub names it. */
  readonly tokenRights: Readonly<Record<string, 'read' | 'write'>>;
}

export function documentedStart(): DocumentedStart {
  const blocks = [...text.matchAll(/^```(\w*)\n([\s\S]*?)^```$/gm)].map(([, language = '', block = '']) => ({ language, block }));
  const of = (wanted: string) => blocks.flatMap(({ language, block }) => (language === wanted ? [block] : []));
  const [composeFile = '', configuration = '', ...more] = of('yaml');
  if (more.length > 0) throw new Error('expected two files in docs/start-github-compose.md');
  // What a command prints is indented.
  const lines = of('').flatMap((block) => block.split('\n').filter((line) => /^\S/.test(line)));
  const commands = lines.flatMap((line) => (line.startsWith('landfall ') ? [line.slice('landfall '.length)] : []));
  return { composeFile, configuration, lines, commands, tokenRights: rightsIn(/^\| `GITHUB_TOKEN` .*$/m.exec(text)?.[0] ?? '') };
}

/** `_Pull requests_: read and write; _Actions_: read` */
function rightsIn(row: string): Record<string, 'read' | 'write'> {
  const groups = (row.split('|').at(-2) ?? '').split(/[;(]/);
  return Object.fromEntries(
    groups.flatMap((group) =>
      [...group.matchAll(/_([A-Z][a-z ]+)_/g)].map(([, name = '']) => {
        const key = name.toLowerCase().replace('commit statuses', 'statuses').replace(' ', '_');
        return [key, group.includes('write') ? 'write' : 'read'] as const;
      }),
    ),
  );
}
