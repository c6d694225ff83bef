import { type EvidenceItem, withoutQuotes } from './evidence.ts';
import { claimedMark, type ImagePush, pusherOf } from './image-push.ts';
import { code, inert, prose, shortened } from './inert-text.ts';
import type { CheckResult, ImageIdentity, Skipped, VerifiedImage } from './outcomes.ts';
import { nameOf, type Waiver, waiverText } from './rollout-state.ts';

/** What a proposal is about. */
export interface ProposalSubject {
  readonly service: string;
  readonly stage: string;
  readonly image: VerifiedImage;
  readonly push: ImagePush;
  readonly checks: readonly CheckResult[];
  /** What was skipped so far, in the checks and in earlier stages. */
  readonly skipped?: readonly Waiver[];
  /** An operator wants this very digest, whatever its tag points to. */
  readonly named?: boolean;
  /** The change writes no digest. */
  readonly byTag?: boolean;
}

/** GitHub's limits for a pull request, in characters; that of a title is 256. */
const longestBody = 65_536;
const longestTitle = 250;

/** One line. @param template with placeholders, see `filled` */
export function proposalTitle(subject: ProposalSubject, template = '🚀 Auto-update: {service} image'): string {
  return shortened(filled(template, subject).replace(/\s+/g, ' ').trim(), longestTitle);
}

/** Markdown. @param template with placeholders, see `filled`; absent: Landfall's own */
export function proposalBody(subject: ProposalSubject, template?: string): string {
  const body = template === undefined ? ownBody(subject) : filled(template, subject);
  return shortened(body, longestBody, '\n\n… (shortened)\n');
}

/**
 * Replaces `{service}`, `{stage}`, `{image}` (without tag), `{tag}`, `{digest}`, `{commit}` and `{sourceRepository}`; any other
 * placeholder stays as it is. A value is never searched for placeholders again.
 */
function filled(template: string, subject: ProposalSubject): string {
  const { service, stage, image } = subject;
  const values = new Map([
    ['service', inert(service)],
    ['stage', inert(stage)],
    ['image', image.repository],
    ['tag', image.tag],
    ['digest', image.digest],
    ['commit', sourceCommit(subject) ?? 'unknown'],
    ['sourceRepository', sourceRepository(subject) ?? 'unknown'],
  ]);
  return template.replace(/\{(\w+)\}/g, (placeholder, name: string) => values.get(name) ?? placeholder);
}

/** The commit that the image was built from, if somebody said so in the form of a git commit. */
function sourceCommit({ push, image }: ProposalSubject): string | undefined {
  return [push.commit, image.revision].find((commit) => commit !== undefined && /^[0-9a-f]{7,64}$/i.test(commit));
}

/** `owner/name`, or a URL of nothing but host and path: whatever else a label says is no repository. */
function sourceRepository({ push, image }: ProposalSubject): string | undefined {
  const forms = /^(?=.{1,200}$)(?:https?:\/\/[\w.-]+(?::\d+)?(?:\/[\w.-]+){1,8}|[\w.-]+\/[\w.-]+)\/?$/;
  return [push.sourceRepository, image.source].find((source) => source !== undefined && forms.test(source));
}

function ownBody(subject: ProposalSubject): string {
  return [
    '## Image Details',
    '',
    ...imageDetails(subject),
    '',
    '## Automated Checks',
    '',
    ...checkBoxes(subject),
    '',
    '## Next Steps',
    '',
    '1. Review the changed image reference.',
    `2. Merge this change to bring it to ${prose(subject.stage)}, or close it to keep what is there.`,
    '',
    'A newer image of the service updates this proposal; commits that you add to its branch are kept.',
    '',
    '---',
    '',
    subject.byTag
      ? '_Proposed by Landfall. Only the tag is written: if it moves before the deploy, that is another image than the one above._'
      : '_Proposed by Landfall. The image is pinned by its digest: what was checked is what is deployed._',
    '',
  ].join('\n');
}

function imageDetails(subject: ProposalSubject): string[] {
  const { service, image, push } = subject;
  const known = (value: string | undefined, field: 'commit' | 'sourceRepository' | 'actor') => {
    if (value === undefined) return 'unknown';
    // Where the push does not say it, a label of the image does, which proves nothing either.
    return `${code(value)}${claimedMark(field, push[field] === value ? push : {})}`;
  };
  const platforms = image.platforms.map(({ platform }) => code(platform)).join(', ');
  const pushedBy = pusherOf(push);
  return [
    `- **Service:** ${code(service)}`,
    `- **Image:** ${code(`${image.repository}:${image.tag}`, 400)}`,
    `- **Digest:** ${code(image.digest)}`,
    `- **Source repository:** ${known(sourceRepository(subject), 'sourceRepository')}`,
    `- **Commit:** ${known(sourceCommit(subject), 'commit')}`,
    ...(platforms === '' ? [] : [`- **Platforms:** ${platforms}`]),
    ...(pushedBy === undefined ? [] : [`- **Pushed by:** ${known(pushedBy, 'actor')}`]),
  ];
}

function checkBoxes({ image, checks, skipped = [], named }: ProposalSubject): string[] {
  const platforms = image.platforms.length === 1 ? 'one platform' : `${image.platforms.length} platforms`;
  const isPulled = checks.some(({ outcome }) => outcome.kind === 'checked');
  const found = named
    ? 'the registry has this digest, which an operator named'
    : `the registry says that ${code(image.tag)} is this digest`;
  return [
    `- [x] **${isPulled ? 'Pulled and verified' : 'Verified'}**: ${found}, ${platforms}`,
    ...checks.flatMap(checkBox),
    // Those of checks are told with their check.
    ...skipped.filter(({ stage }) => stage !== undefined).map((waiver) => skippedBox(prose(nameOf(waiver)), waiver)),
  ];
}

function checkBox({ title, outcome }: CheckResult): string[] {
  if (outcome.kind === 'skipped') return [skippedBox(plainly(title), outcome)];
  if (outcome.evidence.length === 0) return [`- [x] **${plainly(title)}**: ${prose(outcome.text)}`];
  return outcome.evidence.flatMap(({ title, passed, text, items, rows = [] }) => [
    `- [${passed ? 'x' : ' '}] **${plainly(title)}**: ${marked(text)}`,
    ...(items ?? rows.map((cells): EvidenceItem => ({ text: cells.join(', ') }))).map(
      ({ label, text }) => `  - ${label === undefined ? '' : `**${plainly(label)}** `}${marked(text)}`,
    ),
  ]);
}

/** What is between backticks is shown as code. */
function marked(text: string): string {
  const parts = text.split('`');
  return parts.map((part, index) => (index % 2 === 1 ? code(part) : spaced(part))).join('');
}

/** Parentheses, and hyphens within a word, mean nothing in Markdown, beside brackets that are escaped. */
function plainly(text: string): string {
  return prose(text)
    .replace(/\\([()])/g, '$1')
    .replace(/(?<=\w)\\-(?=\w)/g, '-');
}

/** `prose` takes the blanks at both ends away, which stand between pieces of code here. */
function spaced(part: string): string {
  const [before, after] = [/^\s/.test(part) ? ' ' : '', /\s$/.test(part) ? ' ' : ''];
  const text = plainly(part);
  return text === '' ? before || after : `${before}${text}${after}`;
}

function skippedBox(check: string, { by, reason }: Pick<Skipped, 'by' | 'reason'>): string {
  return `- [ ] **${check}**: skipped by ${prose(by)}: ${prose(reason, 500)}`;
}

/** What a check said, for a status on the commit. */
export interface CheckReport {
  /** `landfall/scan` */
  readonly context: string;
  readonly state: 'success' | 'failure' | 'pending';
  /** At most 140 characters: GitHub's limit. */
  readonly description: string;
}

/** One for each check that is configured; a skipped one keeps nobody from merging, and says who skipped it. */
export function checkTexts({ image, checks, named }: ProposalSubject): CheckReport[] {
  const digest = image.digest.slice(0, 19);
  const found = named ? `${digest} is in the registry` : `${image.tag} is ${digest}`;
  const texts: CheckReport[] = [
    { context: 'landfall/verify', state: 'success', description: found },
    ...checks.map(({ kind, outcome }): CheckReport => {
      const context = `landfall/${kind}`;
      if (outcome.kind === 'skipped') {
        const { by, reason } = outcome;
        return { context, state: 'success', description: `skipped by ${inert(by)}: ${inert(reason)}` };
      }
      const lines = outcome.evidence.map(({ short, text }) => inert(withoutQuotes(short ?? text)));
      const state = outcome.evidence.every(({ passed }) => passed) ? 'success' : 'failure';
      return { context, state, description: lines.join('; ') || inert(outcome.text) };
    }),
  ];
  return texts.map((text) => ({ ...text, description: shortened(text.description, 140) }));
}

/** `keep` takes an outdated proposal back: the base branch has the image already. */
const commitSubjects = { update: 'chore: update', keep: 'chore: keep', 'roll back': 'revert: roll back' } as const;

/**
 * The message of every commit that Landfall makes. The trailer is for people, who may write it as well: it proves nothing.
 * @param skipped what was skipped so far
 */
export function commitMessage(
  does: keyof typeof commitSubjects,
  service: string,
  { repository, tag, digest }: ImageIdentity,
  rollout: string,
  skipped: readonly Waiver[] = [],
): string {
  return [
    `${commitSubjects[does]} ${inert(service)} image`,
    '',
    `Service: ${inert(service)}`,
    `Image: ${repository}:${tag}`,
    `Digest: ${digest}`,
    ...skipped.map((waiver) => `Skipped: ${inert(waiverText(waiver), 700)}`),
    '',
    `Landfall-Rollout: ${inert(rollout, 1_000)}`,
    '',
  ].join('\n');
}

/** The first line of the commit that merges a proposal. */
export function mergeTitle(service: string, { tag }: ImageIdentity, isRollback: boolean): string {
  if (isRollback) return `revert: roll back ${inert(service)} from ${tag}`;
  return `chore: update ${inert(service)} image to ${tag}`;
}

/** What is below it. The second trailer is the head that was merged: a rollout may merge several proposals, so its name does not tell them apart. */
export function mergeMessage(service: string, image: ImageIdentity, rollout: string, head: string): string {
  const [, , ...body] = commitMessage('update', service, image, rollout).trimEnd().split('\n');
  return [...body, `Landfall-Head: ${head}`, ''].join('\n');
}

/** The head of the proposal that a commit says it has merged. */
export function headMergedBy(message: string): string | undefined {
  return rolloutOfCommit(message) && trailerOf(message, /^Landfall-Head: ([0-9a-f]{40,64})\s*$/m);
}

/** The rollout that a commit says it was made by. */
export function rolloutOfCommit(message: string): string | undefined {
  return trailerOf(message, /^Landfall-Rollout: (\S+)\s*$/m);
}

/** As git does: from the last paragraph, which is not the only one. */
function trailerOf(message: string, pattern: RegExp): string | undefined {
  const [, ...rest] = message
    .replaceAll('\r\n', '\n')
    .trimEnd()
    .split(/\n\s*\n/);
  return pattern.exec(rest.at(-1) ?? '')?.[1];
}

/** Whether a message of ours is about this tag, with whatever digest. */
export function isAboutTag(message: string, { repository, tag }: ImageIdentity): boolean {
  return message.split(/\r?\n/).includes(`Image: ${repository}:${tag}`);
}

/** The branch of a service's proposals to a stage. */
export function branchOf(service: string, stage: string): string {
  return `landfall/${service}-${stage}`;
}

/** The branch that puts back what stood there before. */
export function rollbackBranchOf(service: string, stage: string): string {
  return `${branchOf(service, stage)}-rollback`;
}
