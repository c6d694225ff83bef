import { z } from 'zod';
import { addressHeaders, certificateHeaders } from '../http/authentication.ts';
import { networks } from '../settings/networks.ts';
import {
  demandTls,
  duration,
  parsed,
  plainHttp,
  registryHost,
  type SecretCheck,
  secret,
  size,
  text,
  textOrSecret,
  url,
  urlOrSecret,
} from '../settings/scalars.ts';
import { byKey, expecting, map, optional } from '../settings/wording.ts';
import { buildSchema } from './builds.ts';
import type { Kinds, SecretCheckFor } from './kinds.ts';
import { login } from './login.ts';
import { notify, operators } from './people.ts';
import { defaultsSchema, serviceSchema } from './service.ts';
import { defaultData, temporal } from './temporal.ts';

/** Also where the embedded Temporal is looked for while the rest of the file is wrong. */

/** `landfall.yaml` as a user writes it. Secrets are checked while the file is read. */
export function fileSchema(checkFor: SecretCheckFor, kinds: Kinds) {
  const check = checkFor('worker');
  const receivers = byKey(kinds.sources.map(({ name, settings }) => [name, settings(checkFor('api'))]));
  const forges = byKey(kinds.forges.map(({ kind, section }) => [kind, section?.schema(check)]));
  const sections = kinds.checks.flatMap(({ section }) =>
    section === undefined ? [] : [[section.key, section.schema(check).prefault({})] as const],
  );
  return map(
    {
      publicUrl: url('where the world reaches the webhooks, for what is printed at start').exactOptional(),
      listen: listen.prefault({}),
      receivers: map(receivers, 'Who may report pushes. A receiver that is not named here is closed.').exactOptional(),
      registries: registries(checkFor('worker', 'deploy')).exactOptional(),
      forge: map(forges, 'Where deployment repositories live. Plain git needs nothing here.').exactOptional(),
      temporal: temporal(checkFor('api', 'worker', 'deploy')).exactOptional(),
      operators: operators(check).exactOptional(),
      login: login(checkFor('api'), checkFor('api', 'worker')).prefault({}),
      notify: notify(check, kinds).exactOptional(),
      artifacts: text('a folder')
        .describe('Folder for scan reports and SBOMs, shared by api and workers, relative to this file.')
        .default('artifacts'),
      data: text('a folder')
        .describe(
          "Folder for what Landfall keeps: the embedded Temporal server's state, Trivy's database, clones of deployment repositories; relative to this file.",
        )
        .default(defaultData),
      ...Object.fromEntries(sections),
      docker: map(
        {
          host: text('a Docker host such as unix:///var/run/docker.sock', /^(?:unix|tcp|https?|ssh|npipe):\/\//).exactOptional(),
        },
        "The Docker daemon of smoke tests. Default: DOCKER_HOST, then Docker's current context.",
      ).exactOptional(),
      limits: map(
        {
          checks: optional(
            z.int().min(1).max(1_000),
            'Scans, smoke tests and integration checks that run at once. Default: 4 for each processor, as far as the memory goes (1 GiB each).',
          ),
          builds: optional(
            z.int().min(1).max(1_000),
            'Platforms of builds that are built, checked or uploaded at once, on each host. Default: 1 for each processor, as far as the memory goes (2 GiB each).',
          ),
        },
        'How much this machine does at once.',
      ).prefault({}),
      search: search.describe('How often registries are asked for pushes that no webhook told of; off: never.').prefault('5m'),
      audit: audit(checkFor('api', 'worker')).prefault({}),
      log: map(
        { level: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']).exactOptional() },
        'What is logged. Default level: info.',
      ).exactOptional(),
      defaults: defaultsSchema(check, kinds).exactOptional(),
      builds: optional(z.array(buildSchema(check, kinds)), 'Images that Landfall itself builds, from commits.'),
      services: optional(z.array(serviceSchema(check, kinds)), 'What is followed. May be empty.'),
    },
    'Landfall brings every pushed container image into production safely.',
  );
}

export type FileInput = z.output<ReturnType<typeof fileSchema>>;

const search = z.union([z.literal('off'), duration], expecting('off or a duration such as 5m'));

function audit(check: SecretCheck) {
  return map(
    {
      file: optional(text('a file'), 'Relative to this file. Default: audit.jsonl in the folder data.'),
      size: size.describe('The file begins anew when it is this large.').prefault('20m'),
      keep: z.int().min(0).describe('How many earlier files are kept.').default(5),
      endpoint: optional(urlOrSecret(check), 'A URL that every line is posted to. Default: LOGGING_ENDPOINT, where that is set.'),
      plainHttp: plainHttp.exactOptional(),
    },
    'Where the audit log goes, besides the standard output.',
  ).superRefine(demandTls('endpoint'));
}

const addressPattern = /^(?:\[([0-9a-fA-F:]+)\]|([^\s:/]+)):(\d{1,5})$/;

const listenAddress = parsed('an address as HOST:PORT, such as 127.0.0.1:8080 or [::1]:8080', addressPattern, (value) => {
  const [, bracketed, plain, digits] = addressPattern.exec(value) ?? [];
  const [host, port] = [bracketed ?? plain, Number(digits)];
  return host !== undefined && port <= 65535 ? { host, port } : undefined;
});

const tls = z
  .union(
    [
      text('a folder'),
      map(
        {
          cert: text('a file').describe('Certificate chain (PEM).'),
          key: text('a file').describe('Its private key (PEM).'),
        },
        'Certificate and key.',
      ),
    ],
    expecting('{cert, key}, or a folder with a .pem and a .key'),
  )
  .describe(
    'TLS of the webhook listener, ended by Landfall itself: files relative to this one, or a folder. Read again when they change.',
  );

const limits = map(
  {
    perMinute: z.int().min(1).describe('Requests that one source may send from one address in a minute.').default(1200),
    inWork: z
      .int()
      .min(1)
      .describe('Requests that are worked on at once; more are told to come back. No sender gets all of them.')
      .default(128),
  },
  'What webhooks may ask of this process.',
);

const listen = map(
  {
    webhooks: listenAddress.describe('For registries and CI; to be exposed.').prefault('0.0.0.0:8080'),
    operators: listenAddress.describe('Page, API, metrics.').prefault('127.0.0.1:8081'),
    operatorNames: optional(
      z.array(text('a host name', /^[^\s/:]+$/)).min(1),
      'Host names by which operators ask, besides addresses, localhost and names without a dot.',
    ),
    tls: tls.exactOptional(),
    trustedProxies: networks
      .describe("Addresses and networks of proxies, whose word about a sender's address and certificate is taken.")
      .default([]),
    addressHeader: optional(
      z.enum(addressHeaders),
      "The header in which the proxies say where senders are. Without it, a request whose two headers differ is taken for the proxy's own.",
    ),
    certificateHeader: optional(
      z.enum(certificateHeaders),
      'The header in which the proxies pass client certificates on, and which they take off what senders send.',
    ),
    limits: limits.prefault({}),
  },
  'Where the two listeners listen, as HOST:PORT, and how.',
).refine(({ certificateHeader, trustedProxies }) => certificateHeader === undefined || trustedProxies.length > 0, {
  path: ['certificateHeader'],
  error: 'expected trustedProxies beside it: the header of anybody else counts for nothing',
});

function registries(check: SecretCheck) {
  const registry = map(
    {
      username: textOrSecret(check).exactOptional(),
      password: secret(check).exactOptional(),
      plainHttp: z.boolean().describe('Speak HTTP without TLS to this registry.').default(false),
      hosts: optional(
        z.array(registryHost).min(1),
        'More hosts that belong to it: a token server on another site, storage in a private network that it redirects to.',
      ),
      search: optional(search, 'As the key search of the file, for this registry.'),
    },
    "Credentials of one registry; without them Docker's own config.json is asked.",
  ).refine((value) => (value.username === undefined) === (value.password === undefined), {
    error: 'expected username and password, or neither of them',
  });
  return z.record(registryHost, registry).describe('Registries by host, such as ghcr.io or localhost:5001.');
}

/** JSON Schema (draft 2020-12) of `landfall.yaml`, for editors. */
export function configurationJsonSchema(kinds: Kinds): Record<string, unknown> {
  const schema = fileSchema(() => () => undefined, kinds);
  const { $schema, ...rest } = z.toJSONSchema(schema, { target: 'draft-2020-12', io: 'input' });
  return { $schema, title: 'landfall.yaml', ...rest };
}
