import { z } from 'zod';
import { isGitHubRepository } from '../../domain/github-repository.ts';
import { type Repository, tryParseReference } from '../../domain/image-reference.ts';
import { malformed } from '../../http/problem.ts';
import { githubRepository, text as settingText } from '../../settings/scalars.ts';
import { map, showValue } from '../../settings/wording.ts';
import { repositoryIn } from '../kit/image.ts';
import { account, originIn, part, present, printableLine, signedBy, texts } from '../kit/reading.ts';
import type { ParsedRequest } from '../kit/source.ts';

const imageOfWorkflow = settingText('an image such as ghcr.io/team/app').transform((value, context): Repository => {
  const { repository, tag, digest } = tryParseReference(value) ?? {};
  if (repository !== undefined && tag === undefined && digest === undefined) return repository;
  context.addIssue({ code: 'custom', message: `expected an image such as ghcr.io/team/app, found ${showValue(value)}` });
  return z.NEVER;
});

const workflow = map(
  {
    name: settingText('the name of a workflow').meta({
      description: 'As the workflow says it (name:), or the name of its file.',
    }),
    repository: githubRepository.meta({ description: 'Default: any repository whose events come here.' }).exactOptional(),
    image: imageOfWorkflow
      .meta({ description: 'The image that it pushes. Default: ghcr.io/OWNER/NAME of its repository.' })
      .exactOptional(),
  },
  'A workflow that pushes images.',
);
export type PushingWorkflow = z.output<typeof workflow>;

/** The setting `workflows`. */
export const pushingWorkflows = z
  .array(
    z.union([settingText('the name of a workflow').transform((name): PushingWorkflow => ({ name })), workflow], {
      error: (issue) => `expected the name of a workflow or a map (name, repository, image), found ${showValue(issue.input)}`,
    }),
  )
  .min(1);

const runSchema = part({
  id: z
    .union([z.int().nonnegative(), z.string().regex(/^\d{1,20}$/)])
    .optional()
    .catch(undefined),
  ...texts('name', 'path', 'event', 'conclusion', 'head_sha'),
  actor: account,
  triggering_actor: account,
  head_repository: part(texts('full_name')),
});

const eventSchema = z.object({
  ...texts('action'),
  workflow_run: runSchema,
  workflow: part(texts('name', 'path')),
  repository: part(texts('full_name')),
});
type WorkflowRunEventBody = z.infer<typeof eventSchema>;
type WorkflowRun = NonNullable<WorkflowRunEventBody['workflow_run']>;

/**
 * What a `workflow_run` event says. Its images have no tag: the registry is asked what was pushed, so any branch will do.
 * @param body a JSON object
 * @throws Problem 400 if a completed run is not described
 * @see https://docs.github.com/webhooks/webhook-events-and-payloads#workflow_run
 */
export function readWorkflowRunEvent(body: object, workflows: readonly PushingWorkflow[]): Partial<ParsedRequest> {
  const parsed = eventSchema.parse(body);
  const action = printableLine(parsed.action, 40);
  const seen = present({ action });
  if (action !== 'completed') return { ...seen, ignored: 'expected the action completed' };
  const { workflow_run: completed, repository } = parsed;
  if (completed === undefined) throw malformed('Expected the run as the object workflow_run.');
  if (completed.conclusion !== 'success') return { ...seen, ignored: 'expected the conclusion success' };
  const fullName = repository?.full_name;
  if (fullName === undefined || fullName.length > 200 || !isGitHubRepository(fullName)) {
    throw malformed('Expected the repository as repository.full_name: owner/name.');
  }
  const reason = whyNotOurs(completed, fullName);
  if (reason !== undefined) return { ...seen, ignored: reason };
  const matching = workflows.filter((workflow) => isRunOf(workflow, parsed, fullName));
  if (matching.length === 0) return { ...seen, ignored: 'expected a workflow that receivers.github.workflows names' };
  const repositories = new Set(matching.flatMap(({ image }) => image ?? repositoryIn(`ghcr.io/${fullName}`) ?? []));
  if (repositories.size === 0) {
    return { ...seen, ignored: 'the name of its repository is not that of an image: set image in receivers.github.workflows' };
  }
  const { id, head_sha: commit, actor, triggering_actor: trigger } = completed;
  const who = actor?.login === undefined ? trigger : actor;
  const said = originIn({ commit, sourceRepository: fullName, actor: who?.login });
  const origin = {
    ...said,
    ...signedBy(said, who, 'actor', 'commit', 'sourceRepository'),
    ...(id !== undefined && { buildId: String(id) }),
    sourceRepository: fullName,
  };
  return { ...seen, images: [...repositories].map((image) => ({ repository: image, ...origin })) };
}

/** Anybody who may open a pull request may have its workflows run, under any name; what they push is no release. */
function whyNotOurs({ event, head_repository: head }: WorkflowRun, fullName: string): string | undefined {
  if (event?.startsWith('pull_request') || event === 'merge_group') return 'it ran for a pull request';
  return head?.full_name?.toLowerCase() === fullName.toLowerCase() ? undefined : 'it ran for a fork';
}

function isRunOf(wanted: PushingWorkflow, { workflow, workflow_run: run }: WorkflowRunEventBody, fullName: string): boolean {
  if (wanted.repository !== undefined && wanted.repository.toLowerCase() !== fullName.toLowerCase()) return false;
  // Of a reusable or required workflow the path goes on with `@` and the ref.
  const file = (workflow?.path ?? run?.path)?.split('@')[0]?.split('/').at(-1);
  return [workflow?.name ?? run?.name, file].includes(wanted.name);
}
