import type { Tag } from '../domain/image-reference.ts';
import type { CheckPlan } from '../domain/plan.ts';
import { lastSegment } from '../settings/image-pattern.ts';
import { type Complain, type Complaint, type Path, within } from '../settings/problem.ts';
import type { ServiceSettings } from './configuration.ts';
import type { Kinds } from './kinds.ts';
import { mergeSettings } from './merge.ts';
import { forwardingComplaints, forwardingStage, isForwarding, unnamedRepositoryComplaint } from './resolve-forward.ts';
import { resolveStage } from './resolve-stage.ts';
import type { ServiceContext } from './service-context.ts';
import { shortenedName } from './service-name.ts';
import type { DefaultsInput, ServiceInput, StageInput } from './service-schema.ts';

const day = 86_400_000;
const latest = 'latest' as Tag;
const onlyStage: StageInput = { name: 'production' };

/** A service with its defaults, and what is wrong with it: complaints have paths from the service on. */
export function resolveService(
  input: ServiceInput,
  context: ServiceContext,
): { service: ServiceSettings; complaints: Complaint[] } {
  const complaints: Complaint[] = [];
  const complain: Complain = (path, message) => void complaints.push({ path, message });
  const { image, name, stages: _own, ...own } = input;
  const { stages: _shared, ...shared } = context.defaults;
  const settings = mergeSettings(shared, own, context.kinds);
  const listed = input.stages ?? context.defaults.stages ?? [onlyStage];
  const merged = listed.map((stage) => mergeSettings(forStages(settings, context.kinds), stage, context.kinds));
  const forwards = merged.some(isForwarding);
  if (forwards) forwardingComplaints(input, listed, context.kinds, complain);
  const stages = forwards ? merged.map(forwardingStage) : merged;
  const service: ServiceSettings = {
    image,
    name: serviceName(input, complain),
    tags: settings.tags ?? { kind: 'exact', tags: [latest] },
    platforms: forwards ? [] : (settings.platforms ?? []),
    checks: forwards ? [] : checksOf(settings, context.kinds, complain),
    stages: stages.map((stage, index) => {
      const complainInside: Complain = (path, message) => complain(stagePath(input, index, path), message);
      const resolved = resolveStage(stage, context, complainInside);
      unnamedRepositoryComplaint(image.text, resolved, complainInside);
      return resolved;
    }),
    decideWithinMs: settings.decideWithin ?? day,
  };
  listed.forEach((stage, index) => {
    if (listed.slice(0, index).some((other) => other.name === stage.name)) complaints.push(repeatedStage(input, index));
  });
  return { service, complaints };
}

/** What an image has to pass before any stage. */
function checksOf(settings: DefaultsInput, { checks }: Kinds, complain: Complain): CheckPlan[] {
  const said = new Map<string, unknown>(Object.entries(settings));
  const wanted = checks.flatMap((check) => {
    const input = said.get(check.kind) ?? (check.byDefault ? {} : 'off');
    return input === 'off' ? [] : [{ ...check, input }];
  });
  const first = wanted.filter(({ last }) => !last).map(({ kind }) => kind);
  return wanted.map(({ kind, title, last, needsDocker, input, resolve }) => {
    const { settings, timeoutMs } = resolve(input, within(complain, kind));
    return { kind, title, after: last ? first : [], timeoutMs, needsDocker, settings };
  });
}

/** Stages that the service did not write itself have no place of their own in the file. */
function stagePath(input: ServiceInput, index: number, path: Path): Path {
  return input.stages === undefined ? path : ['stages', index, ...path];
}

function repeatedStage(input: ServiceInput, index: number): Complaint {
  return { path: stagePath(input, index, ['name']), message: 'expected a name that no other stage of this service has' };
}

function serviceName({ image, name }: ServiceInput, complain: Complain): string {
  const isPattern = image.repository === undefined;
  if (name === undefined) return isPattern ? '*' : shortenedName(lastSegment(image.text));
  if (isPattern && !name.includes('*')) {
    complain(['name'], `expected a name with *, such as ${name}-*, because the pattern ${image.text} gives many services`);
  }
  if (!isPattern && name.includes('*')) complain(['name'], 'expected a name without *: the image is one repository');
  return name;
}

/** What a service says for all of its stages. */
function forStages(
  settings: DefaultsInput,
  { checks }: Kinds,
): Omit<DefaultsInput, 'tags' | 'platforms' | 'decideWithin' | 'stages'> {
  const { tags: _tags, platforms: _platforms, decideWithin: _decideWithin, stages: _stages, ...rest } = settings;
  return Object.fromEntries(Object.entries(rest).filter(([key]) => !checks.some(({ kind }) => kind === key)));
}
