import { claimedMark, type ProvenOrigin } from './image-push.ts';
import { inert, shortened } from './inert-text.ts';
import type { NoticeEvent } from './plan.ts';
import { isBuild, type RunState, shortRollout, type Waiver, waiverText } from './rollout-state.ts';

/** One thing that people are told about a rollout. JSON-safe, at most a few KiB, without secrets. */
export interface Notice {
  readonly event: NoticeEvent;
  /** Workflow id, and the run of it. */
  readonly rollout: string;
  readonly runId: string;
  /** Rises within a run, so that a notice that is sent twice is one. */
  readonly number: number;
  /** ISO 8601, UTC. */
  readonly at: string;
  readonly service: string;
  /** Absent: it is about the whole rollout. */
  readonly stage?: string;
  readonly image: RunState['image'];
  /** Why, or what came out, in a sentence. */
  readonly reason?: string;
  /** What a person should do now; absent: nothing. */
  readonly advice?: string;
  /** The last lines of what is not well; at most `longestLog` characters. */
  readonly log?: string;
  /** What operators skipped so far. */
  readonly skipped?: readonly Waiver[];
  /** Of `healthy`: the stage has no watch, or it was skipped. */
  readonly watched?: false;
  /** The newest pull request. */
  readonly proposal?: string;
  readonly commit?: string;
  /** `owner/name` or URL of the source repository. */
  readonly sourceRepository?: string;
  readonly actor?: string;
  /** What of the last three is proven; the rest is claimed. */
  readonly proven?: ProvenOrigin;
}

/**
 * How it looks from afar, as 0xRRGGBB. `attention`: somebody has to do something. `progress`: it goes on without anybody. Those of success and
 * failure are what scripts around Discord have used since before Landfall.
 */
export const levelColours = {
  success: 3066993,
  failure: 15158332,
  attention: 15844367,
  progress: 3447003,
  neutral: 9807270,
} as const;
export type NoticeLevel = keyof typeof levelColours;

/** Text that is inert but for the markup of the target: each target escapes its own. */
export interface NoticeLine {
  readonly name: string;
  readonly value: string;
  /** `identifier`: to be shown as it is, to be copied. `link`: an http(s) address. */
  readonly kind: 'text' | 'identifier' | 'link';
}

/**
 * What people read, the same at every target: in one line, what happened to which service, and where; what it is about; why, what was skipped,
 * and what to do next, if anything; where to look.
 */
export interface NoticeText {
  readonly title: string;
  readonly level: NoticeLevel;
  readonly subject: readonly NoticeLine[];
  readonly story: readonly NoticeLine[];
  readonly links: readonly NoticeLine[];
  /** The last lines that something has logged, each inert and short. */
  readonly log: readonly string[];
}

/** Titles with `{service}` and `{at}`, which is ` in STAGE`, or nothing for what is about the whole rollout. */
type EventText = Pick<NoticeText, 'level' | 'title'>;

const eventTexts: Readonly<Record<NoticeEvent, EventText>> = {
  proposed: { level: 'progress', title: '{service}: a new image is proposed{at}' },
  approval: { level: 'attention', title: '{service}: a new image waits for approval{at}' },
  blocked: { level: 'attention', title: '{service}: the rollout is blocked{at}' },
  deploying: { level: 'progress', title: '{service}: a new image is being deployed{at}' },
  healthy: { level: 'success', title: '{service}: the new image is healthy{at}' },
  unhealthy: { level: 'failure', title: '{service}: the new image is unhealthy{at}' },
  delivered: { level: 'success', title: '{service}: the new image is delivered{at}' },
  unchanged: { level: 'neutral', title: '{service}: nothing to change{at}' },
  superseded: { level: 'neutral', title: '{service}: a newer image goes first{at}' },
  rejected: { level: 'failure', title: '{service}: the image is rejected{at}' },
  expired: { level: 'failure', title: '{service}: nobody decided in time{at}' },
  'rolled-back': { level: 'failure', title: '{service}: the image is rolled back{at}' },
  aborted: { level: 'neutral', title: '{service}: the rollout is aborted{at}' },
  failed: { level: 'failure', title: '{service}: the image is unhealthy and was not rolled back{at}' },
};

/** Of a stage that is done without anybody having looked. */
const unwatched: EventText = { level: 'neutral', title: '{service}: the new image went out{at}, and nobody watched its health' };

const callingEvents: readonly NoticeEvent[] = ['approval', 'blocked', 'unhealthy', 'rolled-back', 'failed'];
/** Longest reason that is shown; the whole of it is in the rollout. */
const longestReason = 1000;
const longestName = 100;
const mostSkipped = 5;
const longestIdentifier = 512;

/** Whether a person is needed, or at least has to know at once. */
export function callsPerson({ event }: Pick<Notice, 'event'>): boolean {
  return callingEvents.includes(event);
}

/** What a notice says to people. Everything in it that came from outside is inert, on one line and of bounded length. */
export function noticeText(notice: Notice): NoticeText {
  const { event, service, stage } = notice;
  const { level, title } = event === 'healthy' && notice.watched === false ? unwatched : eventTexts[event];
  const at = stage === undefined ? '' : ` in ${inert(stage, longestName)}`;
  return {
    title: (isBuild(notice.rollout) ? title.replace('the rollout', 'the build') : title)
      .replace('{at}', () => at)
      .replace('{service}', () => inert(service, longestName)),
    level,
    subject: subjectOf(notice),
    story: [
      ...textLine('Why', notice.reason),
      ...(notice.skipped ?? []).slice(-mostSkipped).flatMap((waiver) => textLine('Skipped', waiverText(waiver))),
      ...textLine('What to do', notice.advice),
    ],
    links: proposalLine(notice.proposal),
    log: logLines(notice.log),
  };
}

/** Of a log that goes with a notice: a person sees the end of it, and the rest in the rollout. */
const longestLog = 1_000;
const mostLogLines = 8;
const longestLogLine = 160;

/** What details of a failure have of a log, as far as a notice takes it. They come from workers of any version. */
export function logIn(details: unknown): string | undefined {
  if (Array.isArray(details)) return details.map(logIn).findLast((log) => log !== undefined);
  if (typeof details !== 'object' || details === null) return undefined;
  if ('now' in details) return logIn(details.now);
  const log = 'log' in details && typeof details.log === 'string' ? details.log.trimEnd() : '';
  return log === '' ? undefined : log.slice(-longestLog);
}

function logLines(log = ''): string[] {
  const lines = log.split('\n').filter((line) => line.trim() !== '');
  return lines.slice(-mostLogLines).map((line) => inert(line, longestLogLine));
}

/** In one line, for targets with little room. */
export function noticeSentence(notice: Notice, longest: number): string {
  const { title, story } = noticeText(notice);
  return shortened([title, ...story.map(({ value }) => value)].join(' – '), longest);
}

function subjectOf(notice: Notice): NoticeLine[] {
  const { service, stage, image, commit, sourceRepository, actor } = notice;
  return [
    ...textLine('Service', service, longestName),
    ...textLine('Stage', stage, longestName),
    identifierLine('Image', imageName(notice)),
    ...(image.digest === undefined ? [] : [identifierLine('Digest', image.digest)]),
    identifierLine(isBuild(notice.rollout) ? 'Build' : 'Rollout', shortRollout(notice.rollout)),
    ...(commit === undefined ? [] : [identifierLine('Commit', commit)]),
    ...textLine('Source', sourceRepository, 2 * longestName, claimedMark('sourceRepository', notice)),
    ...textLine('Pushed by', actor, longestName, claimedMark('actor', notice)),
  ];
}

/** `registry/path:tag` */
export function imageName({ image }: Pick<Notice, 'image'>): string {
  return bare(`${image.repository}:${image.tag}`);
}

/** @param mark what stands behind it, in our own words */
function textLine(name: string, value: string | undefined, longest = longestReason, mark = ''): NoticeLine[] {
  // What is far longer than what is shown need not be looked at to its end.
  const shown = value === undefined ? '' : inert(value.slice(0, 4 * longest), longest);
  return shown === '' ? [] : [{ name, value: `${shown}${mark}`, kind: 'text' }];
}

function identifierLine(name: string, value: string): NoticeLine {
  return { name, value: bare(value), kind: 'identifier' };
}

/** Only what image references and commits are made of: no markup needs to be escaped in it but that of `_`. */
function bare(value: string): string {
  return value.replace(/[^\w.:/+-]/g, '?').slice(0, longestIdentifier);
}

function proposalLine(url: string | undefined): NoticeLine[] {
  const address = url === undefined ? undefined : webAddress(url);
  return address === undefined ? textLine('Proposal', url) : [{ name: 'Proposal', value: address, kind: 'link' }];
}

/** An http(s) address without signs that could end a link in anybody's markup; undefined for anything else. */
export function webAddress(url: string): string | undefined {
  return /^https?:\/\/[\w.-]+(?::\d+)?(?:\/[\w./~%+@:=&?#-]*)?$/.test(url) && url.length <= 1000 ? url : undefined;
}
