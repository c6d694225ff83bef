import { z } from 'zod';
import type { BuildPart, BuildPlan } from '../domain/build.ts';
import type { CheckPlan } from '../domain/plan.ts';
import { matchesWildcard } from '../settings/image-pattern.ts';
import { type Complain, type Complaint, within } from '../settings/problem.ts';
import {
  credentialsInUrl,
  duration,
  hostName,
  imagePattern,
  platform,
  type SecretCheck,
  serviceName,
  text,
} from '../settings/scalars.ts';
import { byKey, expecting, map, oneOf, optional, orWord } from '../settings/wording.ts';
import { forgeOf, type Kinds, type SecretCheckFor, saidOf } from './kinds.ts';
import type { NotifierSettings } from './people.ts';

/** What `builds` says: which images are made from which commits. */

const source = map(
  {
    git: text('a GitHub repository as owner/name, or a git remote').describe(
      'owner/name at GitHub, or the URL or path of a git remote.',
    ),
    branch: optional(text('a branch', /^[\w][\w./+-]*$/), 'Whose commits are built. Default: main.'),
    path: optional(
      text('a folder, without / at its ends', /^(?!\/)(?!.*\/$)(?!.*\.\.).+$/),
      'The folder that is built, or a pattern such as services/* (* in its last part) for one build a folder. Default: the root.',
    ),
  },
  'Where it is built from.',
).superRefine(({ git }, context) => {
  if (!credentialsInUrl.test(git)) return;
  const message = "expected a remote without a password in it: git's own credential helpers, ssh keys, or forge.github have it";
  context.addIssue({ code: 'custom', path: ['git'], message });
});

const part = z.union(
  [platform, map({ platform, on: optional(hostName, 'The host that builds it.') }, 'A platform, and where it is built.')],
  expecting('a platform such as linux/arm64, or { platform, on: HOST }'),
);

export function buildSchema(check: SecretCheck, kinds: Kinds) {
  const checks = kinds.checks.filter(({ ofBuilds }) => ofBuilds !== undefined);
  return map(
    {
      name: optional(
        serviceName,
        'Default: the last path segment of the image. With a pattern as path, * stands for the name of the folder.',
      ),
      source,
      image: imagePattern.describe(
        'The repository that it is pushed to; with a pattern as path, * stands for the name of the folder.',
      ),
      project: optional(
        map(byKey(kinds.projects.map(({ kind, schema }) => [kind, schema(check)])), 'What the folder is; one of these.'),
        'What the folder is. Default: dockerfile.',
      ),
      builder: optional(
        map(byKey(kinds.builders.map(({ kind, schema }) => [kind, schema(check)])), 'What makes the image; one of these.'),
        "What makes the image. Default: Docker's buildx.",
      ),
      platforms: optional(z.array(part).min(1), 'Default: what the project says, or linux/amd64.'),
      emulate: z.boolean().describe('Programs of another platform may be run by emulation while it is built.').default(false),
      tag: optional(
        text(
          'a tag with {version} or {commit}, such as {branch}-{commit}: any other is built once and never again (for one that moves there is latest: always)',
          /^(?=.*\{(?:version|commit)\})(?:[\w.-]|\{(?:version|commit|branch)\})+$/,
        ),
        'The tag: text with {version} or {commit}, and perhaps {branch}. Default: {commit}, its first 12 digits; of a project with a version {version}.',
      ),
      latest: z
        .enum(['never', 'always', 'release'])
        .describe('Whether latest is moved to it as well; release: unless the version is a candidate (rc).')
        .default('never'),
      ...byKey(checks.map(({ kind, schema, keys }) => [kind, orWord('off', schema(check), keys)])),
      timeout: duration.describe('Longest time for one platform.').prefault('60m'),
      every: optional(
        duration,
        'The branch is looked at this often, and built where its image is not there. Absent: not at all.',
      ),
      decideWithin: duration
        .describe('How long a blocked step waits for a decision before the build ends expired.')
        .prefault('24h'),
    },
    'An image that is built from the commits of a repository.',
  );
}

type BuildInput = z.output<ReturnType<typeof buildSchema>>;

/** One entry of `builds`, with its defaults. */
export interface BuildSettings extends BuildPlan {
  /** Milliseconds between two looks at the branch. */
  readonly everyMs?: number;
}

interface BuildContext {
  readonly kinds: Kinds;
  readonly notify: readonly NotifierSettings[];
  readonly checkFor: SecretCheckFor;
  /** Whether the file has the section that a kind of forge needs. */
  readonly hasForge: (kind: string) => boolean;
}

/** The builds of a file, with what is wrong with them: complaints have paths from the file on. */
export function resolveBuilds(
  listed: readonly unknown[],
  context: BuildContext,
): { builds: BuildSettings[]; complaints: Complaint[] } {
  const complaints: Complaint[] = [];
  const schema = buildSchema(() => undefined, context.kinds);
  const builds = listed.flatMap((item, index) => {
    const input = schema.safeParse(item).data;
    const complain: Complain = (path, message) => void complaints.push({ path: ['builds', index, ...path], message });
    return input === undefined ? [] : [resolveBuild(input, context, complain)];
  });
  for (const [index, { name }] of builds.entries())
    if (builds.findIndex((build) => build.name === name) < index)
      complaints.push({ path: ['builds', index, 'name'], message: `expected a name of its own, found '${name}' again` });
  return { builds, complaints };
}

function resolveBuild(input: BuildInput, { kinds, notify, hasForge }: BuildContext, complain: Complain): BuildSettings {
  const { source: from, image, emulate, tag, latest, timeout, every, decideWithin } = input;
  const project = chosen(input.project, kinds.projects, kinds.projects[0], within(complain, 'project'));
  const builder = chosen(
    input.builder,
    kinds.builders,
    kinds.builders.find(({ byDefault }) => byDefault),
    within(complain, 'builder'),
  );
  const { usual } = project.kind;
  const path = from.path ?? (input.project === undefined ? '' : (usual.path ?? ''));
  const name = input.name ?? image.text.slice(image.text.lastIndexOf('/') + 1);
  patternComplaints({ path, name, image: image.text }, complain);
  forgeComplaints(from.git, kinds, hasForge, complain);
  const parts = (input.platforms ?? usual.platforms ?? ['linux/amd64']).map(partOf);
  for (const [index, { platform }] of parts.entries())
    if (parts.findIndex((part) => part.platform === platform) < index)
      complain(['platforms', index], `expected each platform once, found ${platform} again`);
  const told = notify.filter(({ services }) => services.some((pattern) => matchesWildcard(pattern, name)));
  return {
    name,
    source: { repository: from.git, branch: from.branch ?? 'main', path },
    image: image.text,
    project: { kind: project.kind.kind, settings: project.settings },
    builder: { kind: builder.kind.kind, settings: builder.settings },
    parts,
    emulates: emulate,
    tag: tag ?? usual.tag,
    latest,
    checks: checksOf(input, kinds, usual.test, complain),
    timeoutMs: timeout,
    decideWithinMs: decideWithin,
    ...(told.length > 0 && { notify: told.map(({ notifier }) => notifier) }),
    ...(every !== undefined && { everyMs: every }),
  };
}

function partOf(said: string | { readonly platform: string; readonly on?: string }): BuildPart {
  if (typeof said === 'string') return { platform: said };
  return { platform: said.platform, ...(said.on !== undefined && { host: said.on }) };
}

/** Anything that has a key of its own in a map of which one is chosen. */
interface NamedKind {
  readonly kind: string;
  resolve(input: unknown, complain: Complain): object;
}

function chosen<Kind extends NamedKind>(
  said: object | undefined,
  kinds: readonly Kind[],
  usual: Kind | undefined,
  complain: Complain,
): { readonly kind: Kind; readonly settings: object } {
  const named = kinds.filter(({ kind }) => said !== undefined && saidOf(said, kind) !== undefined);
  const [kind = usual, another] = named;
  if (kind === undefined) throw new Error('expected a kind that is used where none is named');
  const keys = kinds.map((each) => each.kind);
  if (said !== undefined && named.length === 0) complain([], `expected ${oneOf(keys)}, found an empty map`);
  if (another !== undefined)
    complain([], `expected only one of ${oneOf(keys, 'and')}, found ${named.map((each) => each.kind).join(' and ')}`);
  const input = said === undefined ? {} : (saidOf(said, kind.kind) ?? {});
  return { kind, settings: kind.resolve(input, within(complain, kind.kind)) };
}

function patternComplaints({ path, name, image }: Readonly<Record<'path' | 'name' | 'image', string>>, complain: Complain): void {
  const isPattern = path.includes('*');
  // A folder is called by its last part, which would be the same for all of them.
  if (path.slice(0, path.lastIndexOf('/') + 1).includes('*'))
    complain(
      ['source', 'path'],
      `expected * in the last part of the path alone, because a build is named after that: ${path} may mean several folders of one name`,
    );
  if (image.includes('**') || (image.match(/\*/g)?.length ?? 0) > 1)
    complain(['image'], 'expected at most one *, for the name of the folder');
  for (const [key, value] of Object.entries({ name, image }))
    if (value.includes('*') !== isPattern)
      complain(
        [key],
        isPattern
          ? `expected ${key} with *, because the path ${path} means many folders`
          : `expected ${key} without *: source.path is one folder`,
      );
}

function forgeComplaints(repository: string, kinds: Kinds, hasForge: BuildContext['hasForge'], complain: Complain): void {
  const forge = forgeOf(repository, kinds);
  if (forge?.section === undefined || hasForge(forge.kind)) return;
  complain(['source', 'git'], forge.section.needed(repository));
}

function checksOf(
  input: BuildInput,
  { checks }: Kinds,
  test: Kinds['projects'][number]['usual']['test'],
  complain: Complain,
): CheckPlan[] {
  return checks.flatMap(({ kind, title, needsDocker, ofBuilds, resolve }) => {
    if (ofBuilds === undefined) return [];
    const ofTest = test && ofBuilds.ofTest?.(test);
    const said = saidOf(input, kind) ?? ofTest ?? (ofBuilds.byDefault ? {} : 'off');
    if (said === 'off') return [];
    const resolved = resolve({ ...(ofBuilds.defaults as object), ...(said as object) }, within(complain, kind));
    return [{ kind, title, after: [], needsDocker, ...resolved }];
  });
}
