/** Which Docker engine a run is for: `npm test -- --engine 29`, `npm run demo -- --engine 29`. */
import { SetUpFailure } from './machine.mjs';

/** What there is to choose from, as a person is told. */
export const choices = `  --engine debian  the engine that answers already, else the package docker.io of Debian or Ubuntu
  --engine 29      Docker 29 with containerd's image store, and Compose 5: built once, and run apart from every other engine`;

/** @typedef {'debian' | '29'} Engine */

/**
 * Takes `--engine NAME` (or `--engine=NAME`) out of the arguments of a command.
 * @param {readonly string[]} args
 * @returns {{ engine?: Engine, rest: string[] }} `rest`: the other arguments, as they were
 * @throws {SetUpFailure} where no engine, or none that there is, is named
 */
export function takeEngine(args) {
  const at = args.findIndex((argument) => argument === '--engine' || argument.startsWith('--engine='));
  if (at < 0) return { rest: [...args] };
  const isOneWord = args[at] !== '--engine';
  const name = isOneWord ? args[at]?.slice('--engine='.length) : args[at + 1];
  const rest = [...args.slice(0, at), ...args.slice(at + (isOneWord ? 1 : 2))];
  if (rest.some((argument) => /^--engine(?:=|$)/.test(argument))) throw unknown('more than one');
  if (name === 'debian' || name === '29') return { engine: name, rest };
  throw unknown(name ? `'${name}'` : 'none');
}

/** @param {string} found */
function unknown(found) {
  return new SetUpFailure(`--engine expects the name of one of these engines, found ${found}:\n${choices}`);
}
