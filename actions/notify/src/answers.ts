import { type Answer, asRecord, detailOf, parseJson } from './persist.ts';

export interface Accepted {
  /** Ids of workflows. */
  readonly rollouts: readonly string[];
  readonly links: readonly string[];
  /** Why nothing was started, where Landfall says. */
  readonly ignored?: string;
}

/** What Landfall says that it has started. An answer without a body, as of kuberollouttrigger, says nothing of it. */
export function readAccepted({ text }: Answer): Accepted {
  const body = asRecord(parseJson(text));
  const started = [body.rollouts, body.resolving, body.forwarding].flatMap((list) =>
    Array.isArray(list) ? (list as unknown[]) : [],
  );
  const idOf = (one: unknown) => (typeof one === 'string' ? one : asRecord(one).id);
  const linkOf = (one: unknown) => asRecord(one).link ?? asRecord(one).url;
  const links = [...(Array.isArray(body.links) ? (body.links as unknown[]) : []), ...started.map(linkOf)];
  return {
    rollouts: texts(started.map(idOf)),
    links: texts(links),
    ...(typeof body.ignored === 'string' && { ignored: body.ignored }),
  };
}

function texts(values: readonly unknown[]): readonly string[] {
  return [...new Set(values.filter((value) => typeof value === 'string'))];
}

const explanations: Readonly<Record<number, string>> = {
  400: 'Landfall does not take this image or these tags',
  401: "Landfall does not take this job's token. Compare audience with receivers.event.audience, and the owner of this repository (its ref and workflow, where they are restricted) with receivers.event; the log of Landfall says what is wrong",
  403: 'Something before Landfall refuses the request, such as a proxy or a firewall',
  404: 'There is no such path. Check url, and that receivers.event is configured',
  405: 'The path takes no POST. Check url',
  413: 'Something before Landfall finds the request too large',
};

/** For people: why an answer is no success, and what to do. */
export function explain(answer: Answer): string {
  const { status } = answer;
  const isRedirect = status >= 300 && status < 400;
  const reason = isRedirect
    ? 'The URL is another one now, and tokens are not sent on. Set url to that one'
    : explanations[status];
  return `Landfall answered ${status}${detailOf(answer)}${reason === undefined ? '' : ` (${reason})`}`;
}
