import { z } from 'zod';
import {
  command,
  credentialsInUrl,
  duration,
  expression,
  githubRepository,
  port,
  text,
  textOrSecret,
} from '../settings/scalars.ts';
import { map, oneOrMany, showValue } from '../settings/wording.ts';

/** How a stage may say when it is healthy. All of it may come from a level above, so little is required here. */

const probeTimeout = duration.meta({ description: 'Longest time of one reading. Default: 5s.' }).exactOptional();

const headerName = text('the name of a header', /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/);

const status = z
  .union([z.int().min(100).max(599), text('a status', /^[1-5](?:xx|\d\d)$/)], {
    error: (issue) => `expected a status such as 200 or 2xx, found ${showValue(issue.input)}`,
  })
  .transform(String);

const http = map(
  {
    url: text('a URL that begins with http:// or https://', /^https?:\/\/[^\s/]+/)
      .refine((value) => URL.canParse(value), { error: 'expected a URL that begins with http:// or https://' })
      .refine((value) => !credentialsInUrl.test(value), {
        error: 'expected a URL without user, password or token: put them into headers, as env:NAME or file:PATH',
      })
      .meta({ description: 'What is asked, from the host of the deploy; {service} and {stage} are filled in.' })
      .exactOptional(),
    headers: z
      // Whether a secret is there is checked later, where it is known which part of Landfall uses it.
      .record(
        headerName,
        textOrSecret(() => undefined),
      )
      .meta({ description: 'Headers of the request. Text that begins with env: or file: is a reference to a secret.' })
      .exactOptional(),
    status: oneOrMany(status, 'a status such as 200 or 2xx')
      .meta({ description: 'Which status is healthy: codes, or classes such as 2xx. Default: [2xx, 3xx].' })
      .exactOptional(),
    body: expression.meta({ description: 'RE2 pattern that the body has to match somewhere.' }).exactOptional(),
    header: map(
      { name: headerName, pattern: expression.meta({ description: 'RE2 pattern that its value has to match.' }) },
      'A header that has to be there.',
    ).exactOptional(),
    timeout: probeTimeout,
    ca: text('a file').meta({ description: 'Certificate authorities (PEM) on the host, relative to this file.' }).exactOptional(),
    version: map(
      {
        header: headerName.meta({ description: 'A header of the answer.' }).exactOptional(),
        json: text('a JSON pointer such as /build/revision, or nothing', /^(?:\/.*)?$/)
          .meta({ description: 'A JSON pointer (RFC 6901) into its body.' })
          .exactOptional(),
        equals: z.enum(['tag', 'digest', 'revision']).meta({ description: 'What stands there.' }).exactOptional(),
      },
      'Where the answer says which image runs: the proof that it is this one.',
    ).exactOptional(),
  },
  'A request over HTTP; certificates are verified, redirects are not followed.',
);

const tcpAddress = /^(?:\[([0-9a-fA-F:]+)\]|([^\s:/[\]]+)):(\d{1,5})$/;

const tcp = z.union(
  [
    text('an address as HOST:PORT', tcpAddress).transform((value) => {
      const [, bracketed, plain, digits] = tcpAddress.exec(value) ?? [];
      return { host: bracketed ?? plain ?? '', port: Number(digits) };
    }),
    map(
      {
        host: text('a host').meta({ description: 'Default: 127.0.0.1, as seen from the host of the deploy.' }).exactOptional(),
        port: port.exactOptional(),
        timeout: probeTimeout,
      },
      'A port that takes connections.',
    ),
  ],
  { error: (issue) => `expected an address as HOST:PORT, or a map (host, port, timeout), found ${showValue(issue.input)}` },
);

const docker = z.union(
  [
    z.literal(true),
    map(
      {
        restarts: z.int().min(0).meta({ description: 'Restarts since the deploy that are borne. Default: 0.' }).exactOptional(),
        containers: z
          .array(text('the name of a service or container'))
          .min(1)
          .meta({
            description:
              "Services of the stage's compose project, PROJECT/SERVICE, or containers; {service} and {stage} are filled in. Default: those of the deploy.",
          })
          .exactOptional(),
      },
      'The containers themselves: running, healthy by their HEALTHCHECK, not restarted.',
    ),
  ],
  { error: (issue) => `expected true or a map (restarts, containers), found ${showValue(issue.input)}` },
);

const commandMap = map(
  {
    command: command.exactOptional(),
    timeout: duration.meta({ description: 'Longest time of one run. Default: 10s.' }).exactOptional(),
  },
  'A command on the host, without a shell; exit code 0 is healthy.',
);

/** A list of texts is the words of one command; a list of lists or maps is several. */
const commands = z.union([command, commandMap, z.array(z.union([z.array(z.string()).min(1), commandMap])).min(1)], {
  error: (issue) => `expected a command, a map (command, timeout), or a list of these, found ${showValue(issue.input)}`,
});

export const watch = map(
  {
    http: oneOrMany(http, 'a map (url, status, …)').exactOptional(),
    tcp: oneOrMany(tcp, 'an address as HOST:PORT, or a map (host, port, timeout),').exactOptional(),
    docker: docker.exactOptional(),
    command: commands.exactOptional(),
    for: duration.meta({ description: 'How long it has to stay healthy. Default: 1m.' }).exactOptional(),
    interval: duration.meta({ description: 'Time between two readings. Default: 5s.' }).exactOptional(),
    failures: z.int().min(0).meta({ description: 'How many failed readings in a row are borne. Default: 3.' }).exactOptional(),
    startPeriod: duration
      .meta({ description: 'Failed readings count only after so long, or after the first good one. Default: 30s.' })
      .exactOptional(),
    within: duration
      .meta({ description: 'Longest time until the verdict. Default: for and startPeriod and 5m.' })
      .exactOptional(),
    deployment: map(
      {
        repository: githubRepository.meta({ description: 'owner/name. Default: that of the change.' }).exactOptional(),
        environment: text('the name of an environment').meta({ description: "Default: the stage's name." }).exactOptional(),
      },
      'A Deployment at GitHub whose success proves which image runs.',
    ).exactOptional(),
  },
  'When the stage is healthy: all probes together, and what proves that it is this very image.',
);

export type WatchInput = z.output<typeof watch>;
