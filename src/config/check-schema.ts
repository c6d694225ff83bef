import { z } from 'zod';
import { severities } from '../domain/plan.ts';
import { command, composeService, duration, memory, port, type SecretCheck, text, textOrSecret } from '../settings/scalars.ts';
import { map, showValue } from '../settings/wording.ts';

/** What the configuration may say of the checks of an image, before any stage. */

export const scan = map(
  {
    failOn: z
      .enum([...severities, 'none'])
      .meta({ description: 'The lowest severity that fails the scan; none only reports. Default: critical.' })
      .exactOptional(),
    ignoreUnfixed: z
      .boolean()
      .meta({ description: 'Findings without a fixed version do not fail the scan. Default: false.' })
      .exactOptional(),
    ignore: z
      .array(
        map(
          {
            id: text('the id of a finding, such as CVE-2024-1234'),
            reason: text('a reason: why this finding is no danger here'),
            until: z.iso
              .date({ error: (issue) => `expected a date such as 2026-12-31, found ${showValue(issue.input)}` })
              .meta({ description: 'The entry holds to the end of this day, UTC.' })
              .exactOptional(),
          },
          'One finding that does not fail the scan, and why.',
        ),
      )
      .exactOptional(),
  },
  'Trivy on each wanted platform, for vulnerabilities and secrets.',
);

function environment(check: SecretCheck, description: string) {
  return z
    .record(text('the name of an environment variable', /^[^=\s]+$/), textOrSecret(check))
    .meta({ description: `${description} Text that begins with env: or file: is a reference to a secret.` })
    .exactOptional();
}

const words = z.array(z.string()).min(1);

export function smoke(check: SecretCheck) {
  return map(
    {
      timeout: duration.meta({ description: 'Longest time from start to ready. Default: 60s.' }).exactOptional(),
      stayUp: duration
        .meta({ description: 'How long a container without probe and HEALTHCHECK must stay up. Default: 10s.' })
        .exactOptional(),
      memory: memory.meta({ description: 'Memory limit, such as 512m (the default).' }).exactOptional(),
      cpus: z.number().positive().meta({ description: 'CPU limit. Default: 1.' }).exactOptional(),
      pids: z.int().min(1).meta({ description: 'Most processes and threads. Default: 256.' }).exactOptional(),
      capabilities: z
        .array(text('a Linux capability such as NET_BIND_SERVICE', /^(?:CAP_)?[A-Z][A-Z_]+$/))
        .meta({ description: 'Linux capabilities that are kept; all others are dropped.' })
        .exactOptional(),
      env: environment(check, 'Environment variables.'),
      envFile: text('a file of KEY=VALUE lines')
        .meta({ description: 'A file of KEY=VALUE lines on the worker, relative to this file.' })
        .exactOptional(),
      command: words.meta({ description: "Replaces the image's command." }).exactOptional(),
      http: map(
        {
          port: port.exactOptional(),
          path: text('a path that begins with /', /^\//).meta({ description: 'Default: /' }).exactOptional(),
        },
        'Ready when this path answers with 2xx or 3xx.',
      ).exactOptional(),
      tcp: map({ port: port.exactOptional() }, 'Ready when this port takes connections.').exactOptional(),
      exec: words.meta({ description: 'Ready when this command, run in the container, exits 0.' }).exactOptional(),
    },
    'A trial start of the container. Ready by http, tcp or exec (at most one), else by its HEALTHCHECK, else by staying up.',
  );
}

export function integration(check: SecretCheck) {
  return map(
    {
      compose: text('a compose file')
        .meta({ description: 'A compose file on the worker, relative to this file; {service} is filled in.' })
        .exactOptional(),
      candidate: composeService
        .meta({ description: "The service of that file that gets the pushed image. Default: the service's own name." })
        .exactOptional(),
      services: z
        .array(composeService)
        .meta({ description: 'Other services to start; what they depend on comes along.' })
        .exactOptional(),
      test: map(
        {
          image: text('an image').meta({ description: "A test image, run in the project's network." }).exactOptional(),
          service: composeService.meta({ description: 'A service of the file, in which the command is run.' }).exactOptional(),
          command: command.meta({ description: 'The words of a command, or a text; no shell.' }).exactOptional(),
        },
        'What decides, by its exit code: image (with a command of its own, or another), or service and command.',
      ).exactOptional(),
      env: environment(check, "Variables of the test and of the compose file's own text."),
      timeout: duration.meta({ description: 'Longest time of the whole check. Default: 5m.' }).exactOptional(),
    },
    'A test against the image and the services that it needs, in a throw-away compose project.',
  );
}
