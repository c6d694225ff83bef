import { z } from 'zod';
import { certificateHeaders } from '../http/authentication.ts';
import { networks } from '../settings/networks.ts';
import {
  duration,
  registryHost,
  type SecretCheck,
  secret,
  size,
  text,
  textOrSecret,
  url,
  urlOrSecret,
} from '../settings/scalars.ts';
import { map, showValue } from '../settings/wording.ts';
import type { ListenAddress } from './configuration.ts';
import type { Kinds } from './kinds.ts';
import { notify, operators } from './people-schema.ts';
import type { Role } from './roles.ts';
import { defaultsSchema, serviceSchema } from './service-schema.ts';
import { temporal } from './temporal.ts';

/** Also where the embedded Temporal is looked for while the rest of the file is wrong. */
export const defaultData = 'data';

/** How secrets are checked that these parts of Landfall use. */
export type SecretCheckFor = (...users: readonly Role[]) => SecretCheck;

/** `landfall.yaml` as a user writes it. Secrets are checked while the file is read. */
export function fileSchema(checkFor: SecretCheckFor, kinds: Kinds) {
  const check = checkFor('worker');
  return map(
    {
      publicUrl: url('where the world reaches the webhooks, for what is printed at start').exactOptional(),
      listen: listen.prefault({}),
      receivers: receivers(kinds.sources, checkFor('api')).exactOptional(),
      registries: registries(checkFor('worker', 'deploy')).exactOptional(),
      forge: forge(check, kinds.forges).exactOptional(),
      temporal: temporal(checkFor('api', 'worker', 'deploy')).exactOptional(),
      operators: operators(check).exactOptional(),
      notify: notify(check, kinds).exactOptional(),
      artifacts: text('a folder')
        .meta({
          description: 'Folder for scan reports and SBOMs, shared by api and workers, relative to this file.',
        })
        .default('artifacts'),
      data: text('a folder')
        .meta({
          description:
            "Folder for what Landfall keeps: the embedded Temporal server's state, Trivy's database, clones of deployment repositories; relative to this file.",
        })
        .default(defaultData),
      ...sections(check, kinds.checks),
      docker: map(
        {
          host: text('a Docker host such as unix:///var/run/docker.sock', /^(?:unix|tcp|https?|ssh|npipe):\/\//).exactOptional(),
        },
        "The Docker daemon of smoke tests. Default: DOCKER_HOST, then Docker's current context.",
      ).exactOptional(),
      search: search
        .meta({
          description: 'How often registries are asked for pushes that no webhook told of; off: never.',
        })
        .prefault('5m'),
      audit: audit(checkFor('api', 'worker')).prefault({}),
      log: map(
        { level: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']).exactOptional() },
        'What is logged. Default level: info.',
      ).exactOptional(),
      defaults: defaultsSchema(check, kinds).exactOptional(),
      services: z.array(serviceSchema(check, kinds)).meta({ description: 'What is followed. May be empty.' }).exactOptional(),
    },
    'Landfall brings every pushed container image into production safely.',
  );
}

export type FileInput = z.output<ReturnType<typeof fileSchema>>;

/** Those of kinds, for what holds for all services. */
function sections(check: SecretCheck, checks: Kinds['checks']): Record<string, z.ZodPrefault<z.ZodType>> {
  const found = checks.flatMap(({ section }) => (section === undefined ? [] : [section]));
  return Object.fromEntries(found.map(({ key, schema }) => [key, schema(check).prefault({})]));
}

const search = z.union([z.literal('off'), duration], {
  error: (issue) => `expected off or a duration such as 5m, found ${showValue(issue.input)}`,
});

function audit(check: SecretCheck) {
  return map(
    {
      file: text('a file')
        .meta({ description: 'Relative to this file. Default: audit.jsonl in the folder data.' })
        .exactOptional(),
      size: size.meta({ description: 'The file begins anew when it is this large.' }).prefault('20m'),
      keep: z.int().min(0).meta({ description: 'How many earlier files are kept.' }).default(5),
      endpoint: urlOrSecret(check)
        .meta({ description: 'A URL that every line is posted to. Default: LOGGING_ENDPOINT, where that is set.' })
        .exactOptional(),
    },
    'Where the audit log goes, besides the standard output.',
  );
}

const addressPattern = /^(?:\[([0-9a-fA-F:]+)\]|([^\s:/]+)):(\d{1,5})$/;

function address(expected: string) {
  return z
    .string({ error: (issue) => `expected ${expected}, found ${showValue(issue.input)}` })
    .meta({ pattern: addressPattern.source })
    .transform((value, context): ListenAddress => {
      const [, bracketed, plain, digits] = addressPattern.exec(value) ?? [];
      const host = bracketed ?? plain;
      if (host !== undefined && Number(digits) <= 65535) return { host, port: Number(digits) };
      context.addIssue({ code: 'custom', message: `expected ${expected}, found ${showValue(value)}` });
      return z.NEVER;
    });
}

const listenAddress = address('an address as HOST:PORT, such as 127.0.0.1:8080 or [::1]:8080');

const tls = z
  .union(
    [
      text('a folder'),
      map(
        {
          cert: text('a file').meta({ description: 'Certificate chain (PEM).' }),
          key: text('a file').meta({ description: 'Its private key (PEM).' }),
        },
        'Certificate and key.',
      ),
    ],
    { error: (issue) => `expected {cert, key}, or a folder with a .pem and a .key, found ${showValue(issue.input)}` },
  )
  .meta({
    description:
      'TLS of the webhook listener, ended by Landfall itself: files relative to this one, or a folder. Read again when they change.',
  });

const limits = map(
  {
    perMinute: z
      .int()
      .min(1)
      .meta({ description: 'Requests that one source may send from one address in a minute.' })
      .default(1200),
    inWork: z.int().min(1).meta({ description: 'Requests that are worked on at once; more are told to come back.' }).default(128),
  },
  'What webhooks may ask of this process.',
);

const listen = map(
  {
    webhooks: listenAddress.meta({ description: 'For registries and CI; to be exposed.' }).prefault('0.0.0.0:8080'),
    operators: listenAddress.meta({ description: 'Page, API, metrics.' }).prefault('127.0.0.1:8081'),
    tls: tls.exactOptional(),
    trustedProxies: networks
      .meta({ description: "Addresses and networks of proxies, whose word about a sender's address and certificate is taken." })
      .default([]),
    certificateHeader: z
      .enum(certificateHeaders)
      .meta({
        description: 'The header in which the proxies pass client certificates on, and which they take off what senders send.',
      })
      .exactOptional(),
    limits: limits.prefault({}),
  },
  'Where the two listeners listen, as HOST:PORT, and how.',
).superRefine(({ certificateHeader, trustedProxies }, context) => {
  if (certificateHeader === undefined || trustedProxies.length > 0) return;
  context.addIssue({
    code: 'custom',
    path: ['certificateHeader'],
    message: 'expected trustedProxies beside it: the header of anybody else counts for nothing',
  });
});

function receivers(sources: Kinds['sources'], check: SecretCheck) {
  const settings = sources.map((source) => [source.name, source.settings(check).exactOptional()]);
  return map<Record<string, z.ZodType>>(
    Object.fromEntries(settings),
    'Who may report pushes. A receiver that is not named here is closed.',
  );
}

function registries(check: SecretCheck) {
  const registry = map(
    {
      username: textOrSecret(check).exactOptional(),
      password: secret(check).exactOptional(),
      plainHttp: z.boolean().meta({ description: 'Speak HTTP without TLS to this registry.' }).default(false),
      search: search.meta({ description: 'As the key search of the file, for this registry.' }).exactOptional(),
    },
    "Credentials of one registry; without them Docker's own config.json is asked.",
  ).refine((value) => (value.username === undefined) === (value.password === undefined), {
    error: 'expected username and password, or neither of them',
  });
  return z.record(registryHost, registry).meta({ description: 'Registries by host, such as ghcr.io or localhost:5001.' });
}

function forge(check: SecretCheck, forges: Kinds['forges']) {
  // Of what is read there, only the kind itself knows the type.
  const sections: Record<string, z.ZodExactOptional<z.ZodType>> = Object.fromEntries(
    forges.flatMap(({ kind, section }) => (section === undefined ? [] : [[kind, section.schema(check).exactOptional()]])),
  );
  return map(sections, 'Where deployment repositories live. Plain git needs nothing here.');
}

/** JSON Schema (draft 2020-12) of `landfall.yaml`, for editors. */
export function configurationJsonSchema(kinds: Kinds): Record<string, unknown> {
  const schema = z.toJSONSchema(
    fileSchema(() => () => undefined, kinds),
    { target: 'draft-2020-12', io: 'input' },
  );
  const { $schema, ...rest } = schema;
  return { $schema, title: 'landfall.yaml', ...rest };
}
