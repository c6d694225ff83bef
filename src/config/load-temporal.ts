import { dirname, resolve } from 'node:path';
import type { Environment } from '../domain/environment.ts';
import { complaintsOf, wordIssue } from '../settings/wording.ts';
import { type Problems, placed, readSource } from './source.ts';
import { defaultData, type TemporalSettings, temporal, temporalSettings } from './temporal.ts';

const acceptEverySecret = (): undefined => undefined;

/** What is needed to reach a running Landfall's Temporal; the rest of the file may be wrong, or the whole file missing. */
export function loadTemporalSettings(
  file: string,
  env: Environment,
): { readonly temporal: TemporalSettings; readonly directory: string; readonly data: string } | Problems {
  const directory = dirname(resolve(file));
  const source = readSource(file);
  if ('problems' in source && !source.missing) return source;
  const { temporal: said = {}, data = defaultData } = 'problems' in source ? {} : source.sections;
  const parsed = temporal(acceptEverySecret).safeParse(said, { error: wordIssue });
  if (!parsed.success) {
    const complaints = complaintsOf(parsed.error.issues, ['temporal']);
    return 'problems' in source ? { problems: [] } : placed(file, source.document, complaints);
  }
  return {
    temporal: temporalSettings(parsed.data, env, directory),
    directory,
    data: resolve(directory, typeof data === 'string' ? data : defaultData),
  };
}
