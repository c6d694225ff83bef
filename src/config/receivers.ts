import { registryOf } from '../domain/image-reference.ts';
import { dispatchOfPush } from '../domain/plan.ts';
import type { Complaint } from '../settings/problem.ts';
import type { Kinds } from './kinds.ts';
import type { ServiceSettings } from './service.ts';

/** What receivers and services have to know of each other: which receiver may tell of the images of which service. */

interface OpenReceiver {
  readonly name: string;
  readonly path: Complaint['path'];
  readonly standingOf: (host: string) => 'own' | 'possible' | 'foreign';
}

type Receivers = Readonly<Record<string, unknown>>;

function receiversIn(receivers: Receivers, { sources }: Pick<Kinds, 'sources'>): OpenReceiver[] {
  return sources.flatMap((source) => {
    const settings = receivers[source.name];
    if (settings === undefined) return [];
    // Each source is handed what its own schema has made.
    return (source.allowedImages?.(settings) ?? []).map(({ path, allowed }) => ({
      name: ['receivers', source.name, ...path].join('.'),
      path: ['receivers', source.name, ...path],
      standingOf: (host) => allowed.standingOf(host),
    }));
  });
}

function hostOf({ image }: ServiceSettings): string {
  return image.repository === undefined ? image.text.slice(0, image.text.indexOf('/')) : registryOf(image.repository);
}

/** What is passed on as it comes is never asked of a registry, so somebody has to say who may tell of it. */
export function receiverComplaints(receivers: Receivers, services: readonly ServiceSettings[], kinds: Kinds): Complaint[] {
  const passedOn = services.filter((service) => dispatchOfPush(service) !== undefined);
  return receiversIn(receivers, kinds).flatMap(({ path, standingOf }) => {
    const service = passedOn.find((each) => standingOf(hostOf(each)) === 'possible');
    if (service === undefined) return [];
    const message =
      `expected images beside it: ${service.name} passes pushes on as they come (dispatch per push), so nothing else says whether ` +
      `this receiver may tell of ${service.image.text}. List the images that it may tell of, such as [${service.image.text}]`;
    return [{ path, message }];
  });
}

/** What is right, and worth a look: for `landfall config check`. */
export function receiverNotes(receivers: Receivers, services: readonly ServiceSettings[], kinds: Kinds): Complaint[] {
  const known = receiversIn(receivers, kinds);
  const hosts = [...new Set(services.map(hostOf))];
  const wide = known.flatMap(({ path, standingOf }) => {
    const possible = hosts.filter((host) => standingOf(host) === 'possible');
    if (possible.length < 2) return [];
    return [
      {
        path,
        message: `it may tell of images of ${possible.join(' and ')}: list in images what is its own, such as [${possible[0]}/**]`,
      },
    ];
  });
  const own = kinds.sources.flatMap((source) => {
    const settings = receivers[source.name];
    const notes = settings === undefined ? [] : (source.notes?.(settings) ?? []);
    return notes.map(({ path, message }) => ({ path: ['receivers', source.name, ...path], message }));
  });
  if (known.length === 0) return [...own, ...wide];
  const untold = services.flatMap((service, index) => {
    const host = hostOf(service);
    if (known.some(({ standingOf }) => standingOf(host) !== 'foreign')) return [];
    return [
      {
        path: ['services', index, 'image'],
        message: `no receiver may tell of images of ${host}, so only the search finds them: list them in images of the receiver that is to`,
      },
    ];
  });
  return [...own, ...wide, ...untold];
}
