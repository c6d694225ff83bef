import type { Client } from '@temporalio/client';
import type { Configuration } from '../config/configuration.ts';
import { describeFollowed, describeTags, plansOfRepository } from '../config/plans.ts';
import { type Digest, InvalidReference, parseReference, type Repository, type Tag } from '../domain/image-reference.ts';
import { type Foreseen, foresee } from '../domain/lane/foresee.ts';
import type { ExternalHold, LaneState } from '../domain/lane/state.ts';
import type { Plan, StagePlan } from '../domain/plan.ts';
import { compareCandidates, followedApart, follows, latestOf } from '../domain/tag-policy.ts';
import { InvalidInput, OperationError } from './errors.ts';
import type { ExplanationInput } from './inputs.ts';
import { readGlobalHold, readLane } from './lane.ts';

/** What it takes of a registry. */
export interface AskedRegistry {
  resolve(repository: Repository, tag: Tag): Promise<Digest | undefined>;
  tags(repository: Repository): Promise<readonly Tag[]>;
}

/** What a push of an image would come to now, and why. Nothing is started. */
export interface ImageExplanation {
  readonly repository: string;
  readonly tag: string;
  /** What the registry has under the tag, or what was asked for. */
  readonly digest?: string;
  /** What the registry says where it has no digest: that there is none, or why it does not tell. */
  readonly registry?: string;
  readonly services: readonly ServiceExplanation[];
  /** What is followed, where nobody follows the repository. */
  readonly followed: readonly string[];
}

export interface ServiceExplanation {
  readonly service: string;
  /** The tags that it follows, in words. */
  readonly policy: string;
  /** `starts`: a push would be rolled out. `ignored`: the tag is not followed. `refused`: the lane would end it at once. `unknown`: see `text`. */
  readonly verdict: 'starts' | 'ignored' | 'refused' | 'unknown';
  /** Why. */
  readonly text: string;
  /** Of a policy that orders tags: each followed tag that the registry has, the latest first. */
  readonly candidates: readonly { readonly tag: string; readonly text: string }[];
  /** More tags are there than are shown. */
  readonly more: number;
  readonly stages: Foreseen['stages'];
}

const mostCandidates = 20;

/**
 * @param client undefined where no Temporal answers: what the lanes would say is then not known
 * @throws InvalidInput where it is no image
 */
export async function explainImage(
  { client, registry, configuration }: { client: Client | undefined; registry: AskedRegistry; configuration: Configuration },
  { image }: ExplanationInput,
): Promise<ImageExplanation> {
  const { repository, tag = 'latest' as Tag, digest: named } = readImage(image);
  const plans = plansOfRepository(configuration, repository, tag);
  const asked = await digestOf({ registry, named, repository, tag, isFollowed: plans.length > 0 });
  const hold = client && (await readGlobalHold(client));
  const held = hold && { reason: `all services are held by ${hold.by}${hold.reason === undefined ? '' : `: ${hold.reason}`}` };
  const tags = plans.some(({ tags }) => tags.kind !== 'exact') ? await tagsThere(registry, repository) : [];
  const digest = 'digest' in asked ? asked.digest : undefined;
  return {
    ...{ repository, tag, ...asked },
    services: await Promise.all(plans.map((plan) => explainService({ client, held, tags, tag, digest }, plan))),
    followed: plans.length === 0 ? describeFollowed(configuration) : [],
  };
}

function readImage(text: string) {
  try {
    return parseReference(text);
  } catch (error) {
    if (error instanceof InvalidReference) throw new InvalidInput(error.message);
    throw error;
  }
}

interface AskedDigest {
  readonly registry: AskedRegistry;
  readonly named: Digest | undefined;
  readonly repository: Repository;
  readonly tag: Tag;
  readonly isFollowed: boolean;
}

/** A registry that nothing is followed at is not asked. */
async function digestOf({ registry, named, repository, tag, isFollowed }: AskedDigest) {
  if (named !== undefined) return { digest: named };
  if (!isFollowed) return {};
  try {
    const digest = await registry.resolve(repository, tag);
    return digest === undefined ? { registry: 'it has no such tag' } : { digest };
  } catch (error) {
    return { registry: error instanceof Error ? error.message : String(error) };
  }
}

/** What it does not tell, it told already of the one tag. */
async function tagsThere(registry: AskedRegistry, repository: Repository): Promise<readonly Tag[]> {
  try {
    return await registry.tags(repository);
  } catch {
    return [];
  }
}

interface ImageQuestion {
  readonly client: Client | undefined;
  readonly held: ExternalHold | undefined;
  readonly tags: readonly Tag[];
  readonly tag: Tag;
  readonly digest: Digest | undefined;
}

async function explainService(question: ImageQuestion, plan: Plan): Promise<ServiceExplanation> {
  const { client, tag, digest } = question;
  const { candidates, more } = candidatesFor(plan, question);
  const known = { service: plan.service, policy: describeTags(plan.tags), candidates, more, stages: [] };
  if (!follows(plan.tags, tag)) return { ...known, verdict: 'ignored', text: `${tag} is not what it follows` };
  if (digest === undefined) return { ...known, verdict: 'unknown', text: 'which image that would be is not known' };
  const lane = await laneOf(client, plan.service);
  if (typeof lane === 'string') return { ...known, verdict: 'unknown', text: lane };
  const held = await Promise.all(plan.stages.map((stage) => heldFromOutside(stage, question.held)));
  const stages = plan.stages.map(({ name }, index) => ({ name, ...held[index] }));
  const foreseen = foresee(lane.state, { service: plan.service, tag, digest, policy: plan.tags, stages });
  return { ...known, ...verdictOf(foreseen, plan), stages: foreseen.stages };
}

function verdictOf({ answer }: Foreseen, plan: Plan): Pick<ServiceExplanation, 'verdict' | 'text'> {
  if (answer.kind !== 'admitted')
    return { verdict: 'refused', text: answer.kind === 'unchanged' ? answer.reason : `in quarantine: ${answer.reason}` };
  if (answer.supersededBy !== undefined) return { verdict: 'refused', text: `${answer.supersededBy} goes first` };
  const steps = ['verify', ...plan.checks.map(({ kind }) => kind), ...plan.stages.map(({ name }) => name)];
  return { verdict: 'starts', text: `it would be rolled out: ${steps.join(', ')}` };
}

async function laneOf(client: Client | undefined, service: string): Promise<{ readonly state: LaneState | undefined } | string> {
  if (client === undefined) return 'no Landfall answers, so what its lane would say is not known';
  try {
    return { state: await readLane(client, service) };
  } catch (error) {
    if (error instanceof OperationError) return error.message;
    throw error;
  }
}

async function heldFromOutside(
  { windows = [] }: StagePlan,
  held: ExternalHold | undefined,
): Promise<{ readonly externalHold?: ExternalHold }> {
  if (held !== undefined) return { externalHold: held };
  // Calendars are large, and nothing else that people ask needs them.
  const { windowsAt } = await import('../domain/windows/index.ts');
  const answer = windowsAt(windows, new Date());
  if (answer.open) return {};
  const until = answer.until?.toISOString();
  return { externalHold: { reason: until === undefined ? answer.reason : `${answer.reason}, until ${until}` } };
}

/** Of a policy that orders them, what it makes of each tag that is there. */
function candidatesFor({ tags: policy }: Plan, { tags, tag }: ImageQuestion): Pick<ServiceExplanation, 'candidates' | 'more'> {
  if (policy.kind === 'exact' || followedApart(policy)) return { candidates: [], more: 0 };
  const isByTime = policy.kind === 'pattern' && policy.order === 'newest';
  const followed = tags.filter((one) => follows(policy, one)).map((one) => ({ tag: one }));
  const sorted = isByTime ? followed : [...followed].sort((one, other) => compareCandidates(policy, other, one));
  const latest = isByTime ? undefined : latestOf(policy, sorted);
  const others = tags.filter((one) => !follows(policy, one));
  const shown = sorted.slice(0, mostCandidates).map((one) => ({
    tag: one.tag,
    text:
      one.tag === latest?.tag ? 'the latest' : isByTime ? 'followed; the latest is what was made last' : 'followed, and earlier',
  }));
  const asked = others.includes(tag) ? [{ tag, text: 'there, and not followed' }] : [];
  return { candidates: [...shown, ...asked], more: Math.max(0, sorted.length - mostCandidates) + others.length - asked.length };
}
