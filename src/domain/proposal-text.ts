import type { ImagePush } from './image-push.ts';
import { code, inert, prose, shortened } from './inert-text.ts';
import { countsText } from './outcome-text.ts';
import type { CheckResults, Finding, IntegrationSummary, ScanSummary, Skipped, SmokeSummary, VerifiedImage } from './outcomes.ts';
import { checkNames, type Waiver } from './rollout-state.ts';
import { nameOf } from './rollout-text.ts';

/** What a proposal tells about. */
export interface ProposalSubject {
  readonly service: string;
  readonly stage: string;
  readonly image: VerifiedImage;
  readonly push: ImagePush;
  readonly checks: CheckResults;
  /** What was skipped so far, in the checks and in earlier stages. */
  readonly skipped?: readonly Waiver[];
  /** An operator wants this very digest, whatever its tag points to. */
  readonly named?: boolean;
}

/** GitHub's limit for the body of a pull request, in characters. */
const longestBody = 65_536;
/** GitHub's limit for a title is 256 characters. */
const longestTitle = 250;

/** One line. @param template with placeholders, see `filled` */
export function proposalTitle(subject: ProposalSubject, template = '🚀 Auto-update: {service} image'): string {
  const line = filled(template, subject).replace(/\s+/g, ' ').trim();
  return shortened(line, longestTitle);
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

/** The commit that the image was built from, where somebody said so in the form of a git commit. */
function sourceCommit({ push, image }: ProposalSubject): string | undefined {
  return [push.commit, image.revision].find((commit) => commit !== undefined && /^[0-9a-f]{7,64}$/i.test(commit));
}

/** `owner/name`, or a URL of nothing but host and path: whatever else a label says is no repository. */
function sourceRepository({ push, image }: ProposalSubject): string | undefined {
  const forms = /^(?:https?:\/\/[\w.-]+(?::\d+)?(?:\/[\w.-]+){1,8}|[\w.-]+\/[\w.-]+)\/?$/;
  return [push.sourceRepository, image.source].find(
    (source) => source !== undefined && source.length <= 200 && forms.test(source),
  );
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
    '_Proposed by Landfall. The image is pinned by its digest: what was checked is what is deployed._',
    '',
  ].join('\n');
}

function imageDetails(subject: ProposalSubject): string[] {
  const { service, image, push } = subject;
  const source = sourceRepository(subject);
  const commit = sourceCommit(subject);
  return [
    `- **Service:** ${code(service)}`,
    `- **Image:** ${code(`${image.repository}:${image.tag}`, 400)}`,
    `- **Digest:** ${code(image.digest)}`,
    `- **Source repository:** ${source === undefined ? 'unknown' : code(source)}`,
    `- **Commit:** ${commit === undefined ? 'unknown' : code(commit)}`,
    ...(image.platforms.length === 0
      ? []
      : [`- **Platforms:** ${image.platforms.map(({ platform }) => code(platform)).join(', ')}`]),
    ...(push.actor === undefined ? [] : [`- **Pushed by:** ${code(push.actor)}`]),
  ];
}

function checkBoxes({ image, checks, skipped = [], named }: ProposalSubject): string[] {
  const platforms = image.platforms.length === 1 ? 'one platform' : `${image.platforms.length} platforms`;
  const found = named
    ? 'the registry has this digest, which an operator named'
    : `the registry says that ${code(image.tag)} is this digest`;
  return [
    `- [x] **Pulled and verified**: ${found}, ${platforms}`,
    ...(checks.scan === undefined ? [] : scanBox(checks.scan)),
    ...(checks.smoke === undefined ? [] : smokeBox(checks.smoke)),
    ...(checks.integration === undefined ? [] : integrationBox(checks.integration)),
    ...skipped.filter(isOfStage).map((waiver) => skippedBox(prose(nameOf(waiver)), waiver)),
  ];
}

function scanBox(scan: ScanSummary | Skipped): string[] {
  if (scan.kind === 'skipped') return [skippedBox('Scanned', scan)];
  const ignored = scan.ignored === 0 ? '' : `, ${scan.ignored} ignored by the policy`;
  return [
    `- [${scan.failing === 0 ? 'x' : ' '}] **Scanned**: ${countsText(scan)}${ignored}`,
    ...scan.worst.map((finding) => `  - ${findingText(finding)}`),
  ];
}

function findingText({ severity, id, where, installed, fixed, title, kind }: Finding): string {
  const version = installed === undefined ? '' : ` ${code(installed, 80)}`;
  const remedy = fixed === undefined ? (kind === 'vulnerability' ? ', no fix yet' : '') : `, fixed in ${code(fixed, 80)}`;
  const subject = title === undefined ? '' : `: ${prose(title)}`;
  return `**${severity}** ${code(id, 80)} in ${code(where)}${version}${remedy}${subject}`;
}

function smokeBox(smoke: SmokeSummary | Skipped): string[] {
  if (smoke.kind === 'skipped') return [skippedBox('Smoke-tested', smoke)];
  const seconds = (smoke.readyAfterMs / 1000).toFixed(1);
  return [`- [x] **Smoke-tested**: ready after ${seconds} s (${code(smoke.readyBy)}) on ${code(smoke.platform)}`];
}

function integrationBox(integration: IntegrationSummary | Skipped): string[] {
  if (integration.kind === 'skipped') return [skippedBox('Integration check', integration)];
  return [`- [x] **Integration check**: passed after ${(integration.tookMs / 1000).toFixed(1)} s`];
}

/** Those of checks are told with their check. */
function isOfStage({ step }: Waiver): boolean {
  return !(checkNames as readonly string[]).includes(step);
}

function skippedBox(check: string, { by, reason }: Pick<Skipped, 'by' | 'reason'>): string {
  return `- [ ] **${check}**: skipped by ${prose(by)}: ${prose(reason, 500)}`;
}

/** What a check said, for a status on the commit. */
export interface CheckText {
  /** `landfall/scan` */
  readonly context: string;
  readonly state: 'success' | 'failure';
  /** At most 140 characters: GitHub's limit. */
  readonly description: string;
}

/** One for each check that is configured; a skipped one keeps nobody from merging, and says who skipped it. */
export function checkTexts({ image, checks, named }: ProposalSubject): CheckText[] {
  const digest = image.digest.slice(0, 19);
  const found = named ? `${digest} is in the registry` : `${image.tag} is ${digest}`;
  const texts: CheckText[] = [{ context: 'landfall/verify', state: 'success', description: found }];
  const { scan, smoke, integration } = checks;
  if (scan?.kind === 'skipped') texts.push(skippedText('landfall/scan', scan));
  if (scan?.kind === 'scanned') {
    const passed = scan.failing === 0;
    const verdict = passed ? 'none fails the policy' : `${scan.failing} against the policy`;
    const description = `${countsText(scan)}; ${verdict}`;
    texts.push({ context: 'landfall/scan', state: passed ? 'success' : 'failure', description });
  }
  if (smoke?.kind === 'skipped') texts.push(skippedText('landfall/smoke', smoke));
  if (smoke?.kind === 'smoked') {
    const description = `ready after ${(smoke.readyAfterMs / 1000).toFixed(1)} s (${inert(smoke.readyBy)}) on ${inert(smoke.platform)}`;
    texts.push({ context: 'landfall/smoke', state: 'success', description });
  }
  if (integration?.kind === 'skipped') texts.push(skippedText('landfall/integration', integration));
  if (integration?.kind === 'integrated') {
    const description = `passed after ${(integration.tookMs / 1000).toFixed(1)} s`;
    texts.push({ context: 'landfall/integration', state: 'success', description });
  }
  return texts.map((text) => ({ ...text, description: shortened(text.description, 140) }));
}

function skippedText(context: string, { by, reason }: Skipped): CheckText {
  return { context, state: 'success', description: `skipped by ${inert(by)}: ${inert(reason)}` };
}
