import { buffer } from 'node:stream/consumers';
import { promisify } from 'node:util';
import type Docker from 'dockerode';
import { masked } from '../../domain/inert-text.ts';

const keptLines = 50;
const keptBytes = 4096;
/** More than 50 long lines. */
const readBytes = 64 * 1024;
/** No variable of a process can hold it. */
const placeholder = '\u0000';
const longestSecret = 8 * 1024;

/** Replaces every secret in a text. */
export type TextMask = (text: string) => string;

/** An image says what variables its container has: with too many of them to be masked in good time, nothing is shown. */
const mostSecrets = 2000;
const mostSecretText = 256 * 1024;
const notShown = '(not shown: there are too many secrets in the environment to hide them all)';

/** @param secrets of several lines are masked line by line too, because a log may hold only the end of one */
export function createMask(secrets: readonly string[]): TextMask {
  if (secrets.reduce((sum, secret) => sum + secret.length, 0) > mostSecretText) return () => notShown;
  const parts = secrets.flatMap((secret) => [secret, ...secret.split(/\r?\n/).map((line) => line.trim())]);
  const distinct = [...new Set(parts)].filter((part) => part !== '');
  if (distinct.length > mostSecrets) return () => notShown;
  const longestFirst = distinct.sort((a, b) => b.length - a.length);
  // Replace by a character that no secret has first: a secret such as `m` would otherwise match inside `[masked]`.
  return (text) =>
    longestFirst.reduce((hidden, secret) => hidden.replaceAll(secret, placeholder), text).replaceAll(placeholder, masked);
}

/** The last lines of a container's log, stdout and stderr as they came, fit for {@link lastLines}. */
export async function readLog(docker: Docker, id: string, tty: boolean): Promise<Buffer> {
  return await readKept(docker, id, tty, { stdout: true, stderr: true, tail: keptLines });
}

/** All that Docker has kept of what a container wrote to stdout: no more than the limits of its log. */
export async function readStdout(docker: Docker, id: string, tty: boolean): Promise<string> {
  return (await readKept(docker, id, tty, { stdout: true })).toString('utf8');
}

async function readKept(docker: Docker, id: string, tty: boolean, options: Docker.ContainerLogsOptions): Promise<Buffer> {
  // Not dockerode's `logs`: it parses an answer that happens to be JSON, such as the one log line of a container with a terminal.
  const stream: unknown = await promisify(docker.modem.dial.bind(docker.modem))({
    path: `/containers/${id}/logs?`,
    method: 'GET',
    isStream: true,
    statusCodes: { 200: true, 404: 'no such container', 500: 'server error' },
    options,
  });
  const bytes = await buffer(stream as NodeJS.ReadableStream);
  return tty ? bytes : demultiplex(bytes);
}

/** Docker sends a log without a terminal in frames: one byte for the stream, three of zero, four for the length, big-endian. */
export function demultiplex(bytes: Buffer): Buffer {
  const contents: Buffer[] = [];
  let at = 0;
  while (at + 8 <= bytes.length) {
    const end = at + 8 + bytes.readUInt32BE(at + 4);
    contents.push(bytes.subarray(at + 8, end));
    at = end;
  }
  return Buffer.concat(contents);
}

/**
 * The last 50 lines, at most 4 KiB of UTF-8, with secrets masked and without what would steer a terminal that shows them. Of what the
 * log's author wrote, only the last 64 KiB are looked at, so that no log takes long.
 */
export function lastLines(bytes: Buffer, mask: TextMask): string {
  const isCut = bytes.length > readBytes;
  const shown = mask(plainText(bytes.subarray(-readBytes).toString('utf8')));
  if (shown === notShown) return notShown;
  const lines = (isCut ? withoutBeginning(shown) : shown).split('\n');
  while (lines.length > 1 && lines.at(-1) === '') lines.pop();
  return lastBytes(lines.slice(-keptLines).join('\n'), keptBytes);
}

/** What is cut may begin in the middle of a secret, which nothing masks then: its first line goes, or a part that is longer than secrets. */
function withoutBeginning(text: string): string {
  const end = text.indexOf('\n');
  return end < 0 ? text.slice(longestSecret) : text.slice(end + 1);
}

/** Without escape sequences and control characters, but for line breaks and tabs. Each pattern takes time by the length of the text only. */
function plainText(text: string): string {
  return (
    text
      // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters and escape sequences are what is taken out
      .replace(/\u001b(?:\[[0-?]*[ -/]*[@-~]|\][^\u0007\u001b]*(?:\u0007|\u001b\\)?|[ -/]*[0-~])?/g, '')
      // biome-ignore lint/suspicious/noControlCharactersInRegex: as above
      .replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, '')
  );
}

/** The end of a text, cut between characters. */
function lastBytes(text: string, limit: number): string {
  const bytes = Buffer.from(text);
  if (bytes.length <= limit) return text;
  let start = bytes.length - limit;
  // Bytes 10xxxxxx go on with a character that began before.
  while (((bytes[start] ?? 0) & 0xc0) === 0x80) start += 1;
  return bytes.subarray(start).toString('utf8');
}
