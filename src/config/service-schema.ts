import { z } from 'zod';
import { severities } from '../domain/plan.ts';
import { problemOf, type TagPolicy } from '../domain/tag-policy.ts';
import {
  duration,
  githubRepository,
  imagePattern,
  memory,
  platform,
  port,
  type SecretCheck,
  serviceName,
  stageName,
  tag,
  text,
  textOrSecret,
} from './scalars.ts';
import { map, showValue } from './wording.ts';

/** What `defaults`, a service and a stage may say. Everything is optional, because each may come from a level above. */

const tagPolicy = z
  .union(
    [
      z.array(tag).min(1).meta({ description: 'These very tags.' }),
      map(
        { semver: text('a semver range such as ">=1.2 <2"') },
        "Semantic versions within a range, in npm's grammar; the greater one is the later one.",
      ),
      map(
        {
          pattern: text('a regular expression'),
          order: z.enum(['alphabetical', 'numerical', 'newest']).meta({
            description: 'How the first group (else the whole tag) is compared; newest: by the creation time of the image.',
          }),
        },
        'A regular expression over the whole tag, and which of two tags is the later one.',
      ),
    ],
    { error: (issue) => `expected a list of tags, {semver} or {pattern, order}, found ${showValue(issue.input)}` },
  )
  .transform((value): TagPolicy => {
    if (Array.isArray(value)) return { kind: 'exact', tags: value };
    return 'semver' in value ? { kind: 'semver', range: value.semver } : { kind: 'pattern', ...value };
  })
  .superRefine((policy, context) => {
    const problem = problemOf(policy);
    if (problem !== undefined) context.addIssue({ code: 'custom', message: problem });
  })
  .meta({ description: 'Which tags are followed. Default: [latest].' });

/** A map that can be switched off. */
function orOff<Schema extends z.core.$ZodType>(schema: Schema, what: string) {
  return z.union([z.literal('off'), schema], {
    error: (issue) => `expected off or a map (${what}), found ${showValue(issue.input)}`,
  });
}

const scan = map(
  {
    failOn: z
      .enum([...severities, 'none'])
      .meta({ description: 'The lowest severity that fails the scan; none only reports. Default: critical.' })
      .exactOptional(),
    ignoreUnfixed: z
      .boolean()
      .meta({ description: 'Findings without a fixed version do not fail the scan. Default: false.' })
      .exactOptional(),
    ignore: z
      .array(
        map(
          {
            id: text('the id of a finding, such as CVE-2024-1234'),
            reason: text('a reason: why this finding is no danger here'),
            until: z.iso
              .date({ error: (issue) => `expected a date such as 2026-12-31, found ${showValue(issue.input)}` })
              .meta({ description: 'The entry holds to the end of this day, UTC.' })
              .exactOptional(),
          },
          'One finding that does not fail the scan, and why.',
        ),
      )
      .exactOptional(),
  },
  'Trivy on each wanted platform, for vulnerabilities and secrets.',
);

const command = z.array(z.string()).min(1);

function smoke(check: SecretCheck) {
  return map(
    {
      timeout: duration.meta({ description: 'Longest time from start to ready. Default: 60s.' }).exactOptional(),
      stayUp: duration
        .meta({ description: 'How long a container without probe and HEALTHCHECK must stay up. Default: 10s.' })
        .exactOptional(),
      memory: memory.meta({ description: 'Memory limit, such as 512m (the default).' }).exactOptional(),
      cpus: z.number().positive().meta({ description: 'CPU limit. Default: 1.' }).exactOptional(),
      pids: z.int().min(1).meta({ description: 'Most processes and threads. Default: 256.' }).exactOptional(),
      capabilities: z
        .array(text('a Linux capability such as NET_BIND_SERVICE', /^(?:CAP_)?[A-Z][A-Z_]+$/))
        .meta({ description: 'Linux capabilities that are kept; all others are dropped.' })
        .exactOptional(),
      env: z
        .record(text('the name of an environment variable', /^[^=\s]+$/), textOrSecret(check))
        .meta({ description: 'Environment variables. Text that begins with env: or file: is a reference to a secret.' })
        .exactOptional(),
      envFile: text('a file of KEY=VALUE lines')
        .meta({ description: 'A file of KEY=VALUE lines on the worker, relative to this file.' })
        .exactOptional(),
      command: command.meta({ description: "Replaces the image's command." }).exactOptional(),
      http: map(
        {
          port: port.exactOptional(),
          path: text('a path that begins with /', /^\//).meta({ description: 'Default: /' }).exactOptional(),
        },
        'Ready when this path answers with 2xx or 3xx.',
      ).exactOptional(),
      tcp: map({ port: port.exactOptional() }, 'Ready when this port takes connections.').exactOptional(),
      exec: command.meta({ description: 'Ready when this command, run in the container, exits 0.' }).exactOptional(),
    },
    'A trial start of the container. Ready by http, tcp or exec (at most one), else by its HEALTHCHECK, else by staying up.',
  );
}

const people = z.array(text('a name')).exactOptional();

/** User and password of any URL; for http and https a user alone is too much, because tokens are given so. */
const credentialsInUrl = /^(?:https?:\/\/[^/?#]*@|[a-z][a-z0-9+.-]*:\/\/[^/@]*:[^/@]*@)/i;

/** A repository of a forge; credentials in the address would end in workflow histories. */
const deploymentRepository = text('owner/name (GitHub), or the URL or path of a git repository').refine(
  (value) => !credentialsInUrl.test(value),
  {
    error:
      "expected a URL without user, password or token, which workflow histories would keep: give the worker's git a credential helper, or an ssh key for ssh://git@host/path",
  },
);

const change = map(
  {
    repository: deploymentRepository
      .meta({
        description: 'owner/name is a repository of forge.github; a URL, or a path that begins with / or ., is plain git.',
      })
      .exactOptional(),
    base: text('a branch').meta({ description: 'The branch that is changed. Default: main.' }).exactOptional(),
    file: text('a file of the repository, from its root and without . or .. in between', /^(?!(?:.*\/)?\.{0,2}(?:\/|$)).*\S/)
      .meta({ description: 'The file that names the image; {service} and {stage} are filled in.' })
      .exactOptional(),
    services: z
      .array(text('the name of a compose service'))
      .min(1)
      .meta({ description: "Services of a compose file whose image is set. The default, with the service's own name." })
      .exactOptional(),
    path: text('a YAML path such as spec.template.spec.containers[0].image')
      .meta({ description: 'Any path of a YAML file; {service} and {stage} are filled in.' })
      .exactOptional(),
    marker: text('the NAME of a line marked # landfall: NAME')
      .meta({ description: 'The line marked `# landfall: NAME`; {service} and {stage} are filled in.' })
      .exactOptional(),
    key: text('a key of a .env file')
      .meta({ description: 'A key of a .env file; {service} and {stage} are filled in.' })
      .exactOptional(),
    pin: z.enum(['tag@digest', 'tag', 'digest']).meta({ description: 'What is written. Default: tag@digest.' }).exactOptional(),
    value: z
      .enum(['reference', 'bare'])
      .meta({ description: 'A whole image reference (the default), or only what pin names, as for Helm.' })
      .exactOptional(),
    title: text()
      .meta({
        description:
          'Title of the pull request, with {service}, {stage}, {image}, {tag}, {digest}, {commit}, {sourceRepository}.',
      })
      .exactOptional(),
    body: text().meta({ description: 'Body of the pull request, with the same names in braces.' }).exactOptional(),
    labels: people,
    reviewers: people,
    assignees: people,
  },
  'The change that is proposed in the deployment repository.',
);

const dispatch = map(
  { repository: githubRepository.exactOptional(), event: text('an event type such as image_published').exactOptional() },
  'A repository_dispatch event, sent before the change is proposed.',
);

/** What a stage may say, and a service for all of its stages. */
const stageSettings = {
  change: orOff(change, 'repository, file, …').exactOptional(),
  dispatch: orOff(dispatch, 'repository, event').exactOptional(),
  merge: z
    .literal('off', {
      error: (issue) => `expected off (this version proposes and leaves the merge to you), found ${showValue(issue.input)}`,
    })
    .meta({ description: 'off: the rollout ends once the change is proposed. The default, and all that this version does.' })
    .exactOptional(),
};

function serviceSettings(check: SecretCheck) {
  return {
    tags: tagPolicy.exactOptional(),
    platforms: z
      .array(platform)
      .meta({ description: 'Platforms that the image must have. Default: whatever it has.' })
      .exactOptional(),
    scan: orOff(scan, 'failOn, ignoreUnfixed, ignore').exactOptional(),
    smoke: orOff(smoke(check), 'timeout, env, http, …').exactOptional(),
    ...stageSettings,
    decideWithin: duration
      .meta({ description: 'How long a blocked step waits for a decision before the rollout ends expired. Default: 24h.' })
      .exactOptional(),
    stages: z
      .array(map({ name: stageName, ...stageSettings }, 'One environment.'))
      .min(1)
      .meta({ description: 'Environments, in order. Without it: one, named production, from the same keys on the service.' })
      .exactOptional(),
  };
}

export function defaultsSchema(check: SecretCheck) {
  return map(serviceSettings(check), 'What holds for every service: maps merge into each service, lists replace.');
}

export function serviceSchema(check: SecretCheck) {
  return map(
    {
      name: serviceName
        .meta({ description: 'Default: the last path segment of the image. For a pattern, * stands for that segment.' })
        .exactOptional(),
      image: imagePattern.meta({
        description: 'A repository, or a pattern such as ghcr.io/team/* for one service per repository.',
      }),
      ...serviceSettings(check),
    },
    'Which image is followed, and what happens to a push.',
  );
}

export type Settings = z.output<ReturnType<typeof defaultsSchema>>;
export type ServiceInput = z.output<ReturnType<typeof serviceSchema>>;
export type StageInput = NonNullable<Settings['stages']>[number];
