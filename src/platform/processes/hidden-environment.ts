import { closeSync, openSync, readFileSync, writeSync } from 'node:fs';
import { messageOf } from '../../domain/errors.ts';
import { isGivenToEveryChild } from './environment.ts';

/*
 * What a process was started with stays in `/proc/PID/environ` for as long as it runs, whatever it deletes from its environment later, and
 * every process of the same user can read it there: a child finds in its parent's what it was not given. The kernel reads it from the
 * memory of the process, so it is overwritten there. Why not started anew: docs/decisions/0038-secrets-out-of-proc.md.
 */

const memory = '/proc/self/mem';

/**
 * Overwrites what the system shows others of the environment that this process was started with, but for what every child is given anyway.
 * The process itself, and what it hands to its children, lose nothing. To be called before anything else is loaded or started.
 * @param env the environment of this process itself, `process.env`
 * @returns why it can still be read; undefined: it cannot, or the system shows it nowhere
 */
export function hideEnvironment(env: Record<string, string | undefined>): string | undefined {
  if (process.platform !== 'linux') return undefined;
  try {
    const file = openSync(memory, 'r+');
    try {
      overwrite(file, env);
    } finally {
      closeSync(file);
    }
    const shown = hiddenParts(startedWith()).map(({ name }) => name);
    return shown.length === 0 ? undefined : `expected it to be overwritten, found ${shown.join(', ')} still there`;
  } catch (error) {
    return messageOf(error);
  }
}

function overwrite(file: number, env: Record<string, string | undefined>): void {
  const bytes = startedWith();
  const start = startOfEnvironment(bytes.length);
  const parts = hiddenParts(bytes);
  for (const { name } of parts) moveElsewhere(name, env);
  for (const { at, length } of parts) writeSync(file, Buffer.alloc(length), 0, length, start + at);
}

/** Set anew, a variable lies where only this process looks; nothing of it points to where it was. */
function moveElsewhere(name: string, env: Record<string, string | undefined>): void {
  const value = env[name];
  if (value === undefined) return;
  delete env[name];
  env[name] = value;
}

function startedWith(): Buffer {
  return readFileSync('/proc/self/environ');
}

/** The variables in it, separated by zero bytes, that not every child is given, and where they are. */
function hiddenParts(bytes: Buffer): { readonly name: string; readonly at: number; readonly length: number }[] {
  const parts: { name: string; at: number; length: number }[] = [];
  for (let at = 0; at < bytes.length; ) {
    const zero = bytes.indexOf(0, at);
    const end = zero < 0 ? bytes.length : zero;
    const [name = ''] = bytes.toString('utf8', at, end).split('=', 1);
    if (end > at && !isGivenToEveryChild(name)) parts.push({ name, at, length: end - at });
    at = end + 1;
  }
  return parts;
}

/** @throws Error unless the system says where it is, and that it is as long as what was read */
function startOfEnvironment(length: number): number {
  const stat = readFileSync('/proc/self/stat', 'utf8');
  // The second field is the program's name in brackets and may hold anything; these are the 50th and the 51st (proc_pid_stat(5)).
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const [start, end] = [Number(fields[47]), Number(fields[48])];
  if (Number.isSafeInteger(start) && start > 0 && end - start === length) return start;
  throw new Error(`expected /proc/self/stat to say where the environment of ${length} bytes is, found ${start} to ${end}`);
}
