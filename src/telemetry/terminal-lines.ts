import { stripVTControlCharacters } from 'node:util';
import { markedLine } from '../domain/progress.ts';

/** Lines of the log and of the audit log, as somebody at a terminal reads them: the time, and a sentence. */
export function terminalLines(lines: string): string {
  return lines
    .split('\n')
    .filter((line) => line !== '')
    .flatMap(terminalLine)
    .map((line) => `${line}\n`)
    .join('');
}

/** None for what would only hide the others. */
function terminalLine(line: string): string[] {
  const fields = fieldsOf(line);
  if (fields === undefined) return [shown(line)];
  const sentence = 'event_type' in fields ? auditSentence(fields) : logSentence(fields);
  return sentence === undefined ? [] : [`${clock(fields.time ?? fields.timestamp)}  ${shown(sentence)}`];
}

type LineFields = Readonly<Record<string, unknown>>;

function fieldsOf(line: string): LineFields | undefined {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === 'object' && value !== null ? { ...value } : undefined;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/** As pino numbers them. */
const levels: Readonly<Record<string, string>> = { 20: 'DEBUG ', 30: '', 40: 'WARN ', 50: 'ERROR ', 60: 'FATAL ' };
const ofEveryLine = ['level', 'time', 'pid', 'hostname', 'msg'];

function logSentence(fields: LineFields): string {
  const { level, msg, service, mark } = fields;
  if (typeof mark === 'string') return markedLine(String(service), mark, String(msg));
  const more = Object.entries(fields)
    .filter(([name, value]) => !ofEveryLine.includes(name) && value !== undefined && value !== null)
    .map(([name, value]) => `${name}: ${typeof value === 'string' ? value : JSON.stringify(value)}`);
  return `${levels[String(level)] ?? ''}${msg}${more.length === 0 ? '' : ` (${more.join(', ')})`}`;
}

/** What was asked, by whom, and what came of it. */
function auditSentence(fields: LineFields): string | undefined {
  const { event_type: type, source, outcome, reason, service } = fields;
  const because = textIn(reason) === '' ? '' : `: ${textIn(reason)}`;
  switch (type) {
    case 'webhook_received': {
      const started = ['rollouts', 'resolving', 'forwarding', 'progress'].flatMap((name) => listIn(fields[name]));
      const what = named([...started, ...(started.length === 0 ? [textIn(fields.ignored)] : [])]);
      return `${markedLine(textIn(source), '→', `webhook ${outcome}`)}${what}${because}`;
    }
    case 'decision_made': {
      const { action, by, stage, step } = fields;
      const at = [step, stage].map(textIn).filter((text) => text !== '');
      return markedLine(textIn(service) || 'all', '!', `${[action, ...at].join(' ')} by ${by}${because}`);
    }
    case 'registry_searched':
      if (outcome === 'nothing-new') return undefined;
      return `${markedLine(textIn(fields.registry), '→', `search ${outcome}`)}${named(listIn(fields.found))}${because}`;
    case 'deliveries_checked':
      if (outcome === 'nothing-failed') return undefined;
      return `${markedLine(textIn(source), '→', `deliveries ${outcome}`)}${because}`;
    default:
      return `${type} ${outcome}${because}`;
  }
}

function textIn(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

function listIn(value: unknown): readonly string[] {
  return Array.isArray(value) ? value.map(String) : [];
}

function named(names: readonly string[]): string {
  const known = names.filter((name) => name !== '');
  return known.length === 0 ? '' : `: ${known.join(', ')}`;
}

/** The local time of day, `15:04:05`, of a person who looks on. */
function clock(time: unknown): string {
  const at = new Date(typeof time === 'string' || typeof time === 'number' ? time : Date.now());
  return at.toTimeString().slice(0, 8);
}

/** Nothing in it moves the cursor, colours anything or turns the direction of reading. */
function shown(text: string): string {
  return stripVTControlCharacters(text).replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+/gu, ' ');
}
