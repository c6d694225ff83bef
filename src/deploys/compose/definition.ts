import { z } from 'zod';

/**
 * What Compose makes of the files (`docker compose config --format json`): variables filled in, env files read, paths absolute, and every
 * `$` that is meant doubled, so that it can be read as a compose file again. It may hold secrets: never in a log, nor in a history.
 */
export type Definition = z.infer<typeof definition>;
export type ServiceDefinition = z.infer<typeof service>;

const service = z.looseObject({ image: z.string().optional() });
const resources = z.record(z.string(), z.record(z.string(), z.unknown()).nullable()).nullish();

export const definition = z.looseObject({
  name: z.string(),
  services: z.record(z.string(), service).nullish(),
  networks: resources,
  volumes: resources,
  configs: resources,
  secrets: resources,
});

/** What services use of what is defined beside them. */
export const resourceKinds = ['networks', 'volumes', 'configs', 'secrets'] as const;

const used = z.array(z.looseObject({ source: z.string().optional(), type: z.string().optional() })).nullish();

/** Names of the networks, volumes, configs and secrets that a service uses. */
export function usedBy(one: ServiceDefinition): Readonly<Record<(typeof resourceKinds)[number], readonly string[]>> {
  const sources = (value: unknown, type?: string) =>
    (used.parse(value) ?? []).flatMap((each) => (type === undefined || each.type === type ? (each.source ?? []) : []));
  const networks = z.record(z.string(), z.unknown()).nullish().parse(one.networks);
  return {
    networks: Object.keys(networks ?? {}),
    volumes: sources(one.volumes, 'volume'),
    configs: sources(one.configs),
    secrets: sources(one.secrets),
  };
}

/** Paths of this host whose content a service sees: bind mounts, configs and secrets from files. */
export function filesOf(whole: Definition, one: ServiceDefinition): string[] {
  const binds = (used.parse(one.volumes) ?? []).flatMap(({ type, source }) => (type === 'bind' ? (source ?? []) : []));
  const { configs, secrets } = usedBy(one);
  const files = [...configs.map((name) => whole.configs?.[name]?.file), ...secrets.map((name) => whole.secrets?.[name]?.file)];
  return [...binds, ...files.filter((file) => typeof file === 'string')];
}

/** The same with other images, and nothing to build: what comes back is on the host. */
export function withImages<Whole extends Definition>(whole: Whole, images: Readonly<Record<string, string>>): Whole {
  return withServices(whole, (one, name) => {
    const image = images[name];
    const { build: _build, ...rest } = one;
    // A `$` in a compose file begins a variable.
    return image === undefined ? one : { ...rest, image: image.replaceAll('$', '$$$$') };
  });
}

export function withServices<Whole extends Definition>(
  whole: Whole,
  change: (one: ServiceDefinition, name: string) => ServiceDefinition,
): Whole {
  const services = Object.entries(whole.services ?? {}).map(([name, one]) => [name, change(one, name)] as const);
  return { ...whole, services: Object.fromEntries(services) };
}
