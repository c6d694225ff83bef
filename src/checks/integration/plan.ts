import { z } from 'zod';
import { type Complain, within } from '../../settings/problem.ts';
import { command, composeService, duration, type SecretCheck, text } from '../../settings/scalars.ts';
import { map } from '../../settings/wording.ts';
import { environment } from '../environment-schema.ts';

/** What the configuration says of integration checks. */

/** The candidate with the services that it needs, in a throw-away compose project, and a test that decides by its exit code. */
export interface IntegrationPlan {
  /** A compose file on the worker, relative to the configuration file. */
  readonly compose: string;
  /** The service of that file that gets the candidate. */
  readonly candidate: string;
  /** The other services to start; their `depends_on` come along. */
  readonly services: readonly string[];
  /** A test image, run in the project's network; or a command run in a service of the project. */
  readonly test:
    | { readonly kind: 'image'; readonly image: string; readonly command?: readonly string[] }
    | { readonly kind: 'exec'; readonly service: string; readonly command: readonly string[] };
  /** Values are plain text or secret references; for the test and for the compose file's variables. */
  readonly env: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
}

export function integrationSchema(check: SecretCheck) {
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

type IntegrationInput = z.output<ReturnType<typeof integrationSchema>>;

export function resolveIntegration(integration: IntegrationInput, complain: Complain): IntegrationPlan {
  const { compose = '', candidate = '{service}', services, env, timeout } = integration;
  if (compose === '') complain(['compose'], 'expected a compose file, found nothing here and in defaults.integration');
  return {
    compose,
    candidate,
    services: services ?? [],
    test: integrationTest(integration.test ?? {}, within(complain, 'test')),
    env: env ?? {},
    timeoutMs: timeout ?? 300_000,
  };
}

type TestInput = NonNullable<IntegrationInput['test']>;

function integrationTest({ image, service, command }: TestInput, complain: Complain): IntegrationPlan['test'] {
  if ((image === undefined) === (service === undefined))
    complain([], `expected either image, or service and command, found ${image === undefined ? 'none' : 'both'}`);
  if (image !== undefined) return { kind: 'image', image, ...(command === undefined ? {} : { command }) };
  if (service !== undefined && command === undefined)
    complain(['command'], 'expected the command that is run in the service, found nothing');
  return { kind: 'exec', service: service ?? '', command: command ?? [] };
}

export function fillIntegration(integration: IntegrationPlan, fill: (text: string) => string): IntegrationPlan {
  const { compose, candidate, services, test } = integration;
  return {
    ...integration,
    compose: fill(compose),
    candidate: fill(candidate),
    services: services.map(fill),
    test: test.kind === 'exec' ? { ...test, service: fill(test.service) } : test,
  };
}
