import assert from 'node:assert/strict';
import { jsonSchemas } from '../../../src/cli/json-schemas.ts';
import { landfallHere, type Ran } from '../../cli/command.ts';

/** The command, straight against Temporal from the folder of a Landfall, and by its API from a folder that has nothing. */
export interface BothWays {
  readonly temporal: { readonly cwd: string; readonly env: Record<string, string> };
  readonly api: { readonly cwd: string; readonly env: Record<string, string> };
}

type Words = readonly string[] | ((way: keyof BothWays) => readonly string[]);

/** One after the other. @returns what it came to by the API, and by Temporal, without what differs from one time to the next */
export async function byBothWays(ways: BothWays, words: Words): Promise<{ readonly api: Ran; readonly temporal: Ran }> {
  const wordsOf = (way: keyof BothWays) => (typeof words === 'function' ? words(way) : words);
  const temporal = await landfallHere(wordsOf('temporal'), ways.temporal);
  const api = await landfallHere(wordsOf('api'), ways.api);
  requireSchema(wordsOf('api'), api);
  return { api: withoutTimes(api), temporal: withoutTimes(temporal) };
}

/** Fails where the command says something else, or ends otherwise, by one way than by the other. */
export async function assertSame(ways: BothWays, words: Words, exitCode = 0): Promise<string> {
  const { api, temporal } = await byBothWays(ways, words);
  const what = `landfall ${typeof words === 'function' ? words('api').join(' ') : words.join(' ')}`;
  assert.deepEqual(api, temporal, what);
  assert.equal(api.exitCode, exitCode, `${what}: ${api.stdout}${api.stderr}`);
  return `${api.stdout}${api.stderr}`;
}

function requireSchema(words: readonly string[], { exitCode, stdout }: Ran): void {
  const [command = ''] = words;
  if (!words.includes('--json') || exitCode !== 0) return;
  const answers = command === 'audit' ? stdout.trim().split('\n') : [stdout];
  for (const answer of answers) {
    const parsed = jsonSchemas[command]?.safeParse(JSON.parse(answer));
    assert.ok(parsed?.success, `${command} --json: ${parsed?.error?.message} in ${answer.slice(0, 1_000)}`);
  }
}

/** Services of the same kind, ids, times and durations. */
function withoutTimes({ exitCode, stdout, stderr }: Ran): Ran {
  const text = (lines: string): string =>
    lines
      .replace(/\d{4}-\d\d-\d\dT[\d:.]+Z|\b1\d{12}\b/g, 'TIME')
      .replace(/\b(?:\d+(?:ms|[smhd]))+\b/g, 'SPAN')
      .replace(/\b\d+\.\d s\b/g, 'SPAN')
      .replace(/\b(asking|blocked)-\d+/g, '$1')
      .replace(/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g, 'RUN')
      .replace(/\b[0-9a-f]{64}\b/g, 'DIGEST')
      .replace(/\b[0-9a-f]{12}(?:[0-9a-f]{4})?\b/g, 'SHORT')
      // Whether it was looked at in the midst of a step.
      .replace(/^.*… .* running\n/gm, '')
      .replace(/ {2,}/g, '  ');
  return { exitCode, stdout: text(stdout), stderr: text(stderr) };
}
