import { RE2JS } from 're2js';
import { askThread, scriptBeside } from '../platform/thread.ts';
import type { PatternRequest } from './match-thread.ts';

/** The time is linear in the text, yet a pattern with large counts takes a microsecond a character: a longer text is read in a thread. */
const longestHere = 32 * 1024;
const memoryMb = 256;
const compiled = new Map<string, RE2JS>();

/**
 * Whether a pattern (of RE2, from the configuration) is somewhere in a text, which is from strangers.
 * @throws RE2JSException if it is no pattern, and ThreadLimited if the time is over before it is known
 */
export async function matches(pattern: string, text: string, withinMs: number): Promise<boolean> {
  const known = compiled.get(pattern) ?? RE2JS.compile(pattern);
  if (compiled.size > 200) compiled.clear();
  compiled.set(pattern, known);
  if (text.length <= longestHere) return known.matcher(text).find();
  const asked: PatternRequest = { pattern, text };
  return (await askThread(scriptBeside(import.meta.url, 'match-thread'), asked, { withinMs, memoryMb })) === true;
}
