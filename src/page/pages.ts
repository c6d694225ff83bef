import type { IncomingMessage } from 'node:http';
import type { ParsedUrlQuery } from 'node:querystring';
import { withoutIdleLimit } from '../http/idle.ts';
import { InvalidInput } from '../operations/errors.ts';
import { findRollout } from '../operations/find-rollout.ts';
import { figuresInput, parseInput } from '../operations/inputs.ts';
import { rolloutPageFilter } from '../operations/rollout-page.ts';
import { stagesOf } from '../operations/stage-overview.ts';
import type { PageDependencies } from './dependencies.ts';
import type { PageContent } from './layout.ts';
import { versionOf } from './live.ts';
import { nowBody } from './now.ts';
import { allTopic, type PageReadings, versionedPart } from './readings.ts';
import { recordBody } from './record.ts';
import { rolloutBody, rolloutTitle } from './rollout/page.ts';
import { filterKeys, type RolloutsFilter, rolloutsBody } from './rollouts.ts';
import { serviceBody } from './service.ts';
import type { PageView } from './view.ts';

/** What is shown, and the status that it is answered with where that is not 200. */
export type PageAnswer = PageContent & { readonly status?: number };

const fromTemporal = 'Temporal';
const fromWorkers = 'Temporal, and from the workflows themselves';

/** Each page: what it reads, and what it shows of that. */
export function createPages({ client, configured, describeService, firstPush }: PageDependencies, readings: PageReadings) {
  const now = async (view: PageView): Promise<PageAnswer> => {
    const reading = await readings.all();
    const version = versionOf(versionedPart(reading));
    const { readAt } = reading.overview;
    const body = nowBody(view, { ...reading, firstPush: firstPush() });
    return {
      title: titleOf(reading.overview.asking.length),
      current: 'now',
      live: { topic: allTopic, version },
      readAt,
      readFrom: fromWorkers,
      body,
    };
  };

  const rollouts = async (view: PageView, query: ParsedUrlQuery): Promise<PageAnswer> => {
    const filter: RolloutsFilter = fieldsIn(query, filterKeys);
    const readAt = new Date().toISOString();
    const common = { title: 'Rollouts', current: 'rollouts' as const, readAt, readFrom: fromTemporal };
    const services = configured().map(({ service }) => service);
    try {
      const { status, ...rest } = filter;
      const page = await readings.rollouts(
        parseInput(rolloutPageFilter, { ...rest, ...(status !== undefined && { status: [status] }) }),
      );
      return { ...common, live: { topic: allTopic }, body: rolloutsBody(view, { filter, page, services }) };
    } catch (error) {
      if (!(error instanceof InvalidInput)) throw error;
      const message = { isProblem: true, text: error.message };
      return { ...common, status: 400, message, body: rolloutsBody(view, { filter, services }) };
    }
  };

  const rollout = async (view: PageView, prefix: string): Promise<PageAnswer> => {
    const id = await findRollout(client, prefix);
    const story = await readings.rollout(id);
    const live = { topic: id, version: versionOf(story) };
    return {
      title: rolloutTitle(story),
      live,
      readAt: new Date(view.now).toISOString(),
      readFrom: fromWorkers,
      body: rolloutBody(view, id, story),
    };
  };

  const service = async (view: PageView, name: string, query: ParsedUrlQuery, request: IncomingMessage): Promise<PageAnswer> => {
    const filter = parseInput(rolloutPageFilter, { service: name, limit: 20 });
    const { tag } = fieldsIn(query, ['tag']);
    const [lane, { rows }, { asked, message }] = await Promise.all([
      readings.lane(name),
      readings.rollouts(filter),
      // A registry that is silent takes longer than a connection may be.
      withoutIdleLimit(request, () => askTag(readings, name, tag)),
    ]);
    const configuration = describeService(name);
    const stages = lane === undefined ? [] : stagesOf(lane);
    const isKnown = lane !== undefined || configuration !== undefined || rows.length > 0;
    const body = serviceBody(view, {
      service: name,
      lane,
      stages,
      rollouts: rows,
      configuration,
      tag: configuration === undefined ? undefined : { asked },
    });
    const common = {
      title: name,
      live: { topic: allTopic },
      readAt: new Date(view.now).toISOString(),
      readFrom: fromWorkers,
      ...(message !== undefined && { message }),
      body,
    };
    return isKnown
      ? common
      : {
          ...common,
          status: 404,
          message: { isProblem: true, text: `There is no service '${name}', and nothing of one was ever rolled out.` },
        };
  };

  const record = async (view: PageView, query: ParsedUrlQuery): Promise<PageAnswer> => {
    const { days, service: name } = parseInput(figuresInput, fieldsIn(query, ['days', 'service']));
    const figures = await readings.figures({ days, service: name });
    const body = recordBody(
      view,
      figures,
      configured().map(({ service }) => service),
      name,
    );
    return { title: 'Record', current: 'record', readAt: figures.readAt, readFrom: fromTemporal, body };
  };

  return { now, rollouts, rollout, service, record };
}

/** What is wrong with a tag is said on the page that asked. */
async function askTag(readings: PageReadings, service: string, tag: string | undefined) {
  if (tag === undefined) return {};
  try {
    const explanation = await readings.explanation(service, tag);
    return { asked: { tag, ...(explanation !== undefined && { explanation }) } };
  } catch (error) {
    if (!(error instanceof InvalidInput)) throw error;
    return { asked: { tag }, message: { isProblem: true, text: error.message } };
  }
}

function titleOf(asking: number): string {
  return asking === 0 ? '' : `(${asking}) needs a person`;
}

/** What is empty is not asked for; of a key that is there several times, the first counts. */
function fieldsIn<Key extends string>(query: ParsedUrlQuery, keys: readonly Key[]): Partial<Record<Key, string>> {
  const said = keys.flatMap((key) => {
    const value = [query[key]].flat()[0]?.trim();
    return value ? [[key, value] as const] : [];
  });
  return Object.fromEntries(said) as Partial<Record<Key, string>>;
}
