import { setTimeout as pause } from 'node:timers/promises';
import {
  type Client,
  ScheduleAlreadyRunning,
  ScheduleNotFoundError,
  ScheduleOverlapPolicy,
  ServiceError,
} from '@temporalio/client';
import { scheduledBuilds } from '../config/build-plans.ts';
import type { Configuration } from '../config/configuration.ts';
import { searchedRegistries } from '../config/plans.ts';
import { isUnsealed } from '../contracts/sealed.ts';
import {
  buildAction,
  buildScheduleId,
  redeliverAction,
  redeliverId,
  searchAction,
  searchId,
} from '../contracts/start-options.ts';
import { messageOf } from '../domain/errors.ts';
import type { Log } from '../domain/log.ts';
import { answeredEach, defaultDeadlineMs, inTime, isUnanswered } from '../operations/temporal-calls.ts';
import { gitHubSettings } from '../settings/github.ts';

/** Searches of several registries, and of several Landfalls, do not all begin in one second. */
const jitterPart = 1 / 10;
const longestJitterMs = 30_000;
/** Temporal's own least: https://docs.temporal.io/schedule#catchup-window */
const shortestCatchUpMs = 10_000;
/** Temporal counts in whole seconds. */
const shortestIntervalMs = 1_000;
const redeliverEveryMs = 5 * 60_000;
const mostAttempts = 4;
const pauseMs = 500;
const againMs = 60_000;

/** A schedule that the configuration asks for. */
interface WantedSchedule {
  /** Of the schedule, and of the workflow that it starts. */
  readonly id: string;
  readonly everyMs: number;
  readonly action: ReturnType<typeof searchAction> | ReturnType<typeof redeliverAction> | ReturnType<typeof buildAction>;
}

/**
 * Makes sure that each registry that is to be searched has its schedule, `search:HOST`, that GitHub is asked for failed deliveries where
 * it has webhooks to ask for (`redeliver`), and that there is no other schedule of the kind. It may be called by several processes at once, and at
 * every start: what is right already stays, a pause by an operator included.
 * @param withinMs for each schedule
 * @throws Error if Temporal does not answer in time, among others: start, reload and stop wait for this
 */
export async function ensureSchedules(
  client: Client,
  configuration: Configuration,
  log: Pick<Log, 'info'>,
  withinMs = defaultDeadlineMs,
): Promise<void> {
  const wanted = wantedBy(configuration);
  for (const one of wanted) await withRetries(() => inTime(client, withinMs, () => ensureSchedule(client, one, log)));
  const ids = new Set(wanted.map(({ id }) => id));
  for await (const { scheduleId, action } of answeredEach(client, withinMs, client.schedule.list())) {
    const type = typeOf(scheduleId);
    const isOurs = type !== undefined && (action === undefined || action.workflowType === type);
    if (!isOurs || ids.has(scheduleId)) continue;
    await inTime(client, withinMs, () => client.schedule.getHandle(scheduleId).delete()).catch((error: unknown) => {
      if (!(error instanceof ScheduleNotFoundError)) throw error;
    });
    log.info({ schedule: scheduleId }, 'a schedule is over: the configuration does not ask for it any more');
  }
}

/**
 * Makes sure of them, and goes on trying if Temporal cannot do it now: webhooks are taken and steps are done without them, too.
 * @returns ends that, once a try that is under way is over: what it does for one configuration must not come behind what is done for the next
 */
export async function beginSchedules(
  ensure: () => Promise<void>,
  log: Pick<Log, 'info' | 'error'>,
  everyMs = againMs,
): Promise<() => Promise<void>> {
  const over = new AbortController();
  const { signal } = over;
  const fail = (error: unknown): boolean => {
    if (!signal.aborted) log.error({ reason: messageOf(error) }, couldNot);
    return false;
  };
  const attempt = (): Promise<boolean> => ensure().then(() => true, fail);
  const goOn = async (): Promise<void> => {
    while (!signal.aborted) {
      await pause(everyMs, undefined, { signal, ref: false }).catch(() => undefined);
      if (!signal.aborted && (await attempt())) return log.info({}, 'schedules are set up now');
    }
  };
  const going = (await attempt()) ? undefined : goOn();
  return async () => {
    over.abort();
    await going;
  };
}

const couldNot =
  'schedules could not be set up, which is tried again: pushes that no webhook tells of may not be found meanwhile';

function wantedBy(configuration: Configuration): readonly WantedSchedule[] {
  const searches = [...searchedRegistries(configuration)].map(([registry, wantedMs]): WantedSchedule => {
    const everyMs = Math.max(shortestIntervalMs, Math.round(wantedMs / 1_000) * 1_000);
    return { id: searchId(registry), everyMs, action: searchAction({ registry, everyMs }) };
  });
  const hasHooks = gitHubSettings(configuration.forge)?.hooks !== undefined;
  const builds = scheduledBuilds(configuration).map(({ plan, everyMs }): WantedSchedule => {
    return { id: buildScheduleId(plan.name), everyMs, action: buildAction(plan) };
  });
  return [
    ...searches,
    ...builds,
    ...(hasHooks ? [{ id: redeliverId, everyMs: redeliverEveryMs, action: redeliverAction() }] : []),
  ];
}

/** The workflow that a schedule of this id starts, if it is one of ours. */
function typeOf(scheduleId: string): string | undefined {
  if (scheduleId.startsWith(searchId(''))) return 'search';
  if (scheduleId.startsWith(buildScheduleId(''))) return 'searchBuilds';
  return scheduleId === redeliverId ? 'redeliver' : undefined;
}

async function ensureSchedule(client: Client, { id, everyMs, action }: WantedSchedule, log: Pick<Log, 'info'>): Promise<void> {
  const options = {
    spec: { intervals: [{ every: everyMs }], jitter: Math.min(longestJitterMs, Math.round(everyMs * jitterPart)) },
    policies: { overlap: ScheduleOverlapPolicy.SKIP, catchupWindow: Math.max(shortestCatchUpMs, everyMs), pauseOnFailure: false },
    action,
  };
  try {
    const schedule = await client.schedule.create({ scheduleId: id, ...options });
    // Trigger it at once: the first search takes whatever it finds for old, so it should miss as few pushes as possible. Not with the option
    // triggerImmediately: such a run may overlap others, so its result would not be passed to the next run as the last result.
    await schedule.trigger(options.policies.overlap);
    log.info({ schedule: id, everyMs }, 'a schedule begins, to find pushes that no webhook tells of');
  } catch (error) {
    if (!(error instanceof ScheduleAlreadyRunning)) throw error;
    const schedule = client.schedule.getHandle(id);
    const { spec, policies, action: known } = await schedule.describe();
    const [interval] = spec.intervals ?? [];
    const isSame =
      interval?.every === options.spec.intervals[0]?.every &&
      spec.jitter === options.spec.jitter &&
      policies.catchupWindow === options.policies.catchupWindow;
    // What it starts would be refused: it was made by a Landfall that sealed nothing, or with another key.
    const isRefused = known.args?.some(isUnsealed);
    if (isSame && !isRefused) return;
    // Searches that ran so far stay known: their last result goes on to the next.
    await schedule.update(({ state: { paused, note } }) => ({
      ...options,
      state: { paused, ...(note !== undefined && { note }) },
    }));
    const now = isSame ? 'a schedule is sealed from now on' : 'a schedule has another interval from now on';
    log.info({ schedule: id, everyMs }, now);
  }
}

/** A schedule that was made a moment ago cannot always be described yet. */
async function withRetries(act: () => Promise<void>): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await act();
    } catch (error) {
      if (!(error instanceof ServiceError) || isUnanswered(error) || attempt === mostAttempts) throw error;
      await pause(attempt * pauseMs);
    }
  }
}
