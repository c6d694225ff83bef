import { z } from 'zod';
import { type Complain, within } from '../../settings/problem.ts';
import { command, composeService, duration, type SecretCheck, text } from '../../settings/scalars.ts';
import { map, optional } from '../../settings/wording.ts';
import { environment } from '../check.ts';

/** What the configuration says of integration checks. */

export function integrationSchema(check: SecretCheck) {
  return map(
    {
      compose: optional(text('a compose file'), 'A compose file on the worker, relative to this file; {service} is filled in.'),
      candidate: optional(
        composeService,
        "The service of that file that gets the pushed image. Default: the service's own name.",
      ),
      services: optional(z.array(composeService), 'Other services to start; what they depend on comes along.'),
      test: map(
        {
          image: optional(text('an image'), "A test image, run in the project's network."),
          service: optional(composeService, 'A service of the file, in which the command is run.'),
          command: optional(command, 'The words of a command, or a text; no shell.'),
        },
        'What decides, by its exit code: image (with a command of its own, or another), or service and command.',
      ).exactOptional(),
      env: environment(check, "Variables of the test and of the compose file's own text."),
      timeout: optional(duration, 'Longest time of the whole check. Default: 5m.'),
      network: optional(
        z.enum(['internal', 'full']),
        'What the project reaches: internal (the default), its own networks and nothing else; full: all that Docker lets containers reach.',
      ),
      runtime: optional(
        text('the name of a runtime', /^[\w.-]+$/),
        'A runtime of the candidate that the Docker daemon knows, such as runsc.',
      ),
    },
    'A test against the image and the services that it needs, in a throw-away compose project.',
  );
}

type IntegrationInput = z.output<ReturnType<typeof integrationSchema>>;
/** The test is an image that is run in the project's network, or a command that is run in a service of the project. */
export type IntegrationPlan = ReturnType<typeof resolveIntegration>;

export function resolveIntegration(integration: IntegrationInput, complain: Complain) {
  const { compose = '', candidate = '{service}', services = [], test, env = {}, timeout = 300_000 } = integration;
  const { network, runtime } = integration;
  if (compose === '') complain(['compose'], 'expected a compose file, found nothing here and in defaults.integration');
  return {
    compose,
    candidate,
    services,
    test: testOf(test ?? {}, within(complain, 'test')),
    env,
    timeoutMs: timeout,
    ...(network === 'full' && { network }),
    ...(runtime !== undefined && { runtime }),
  };
}

function testOf({ image, service, command }: NonNullable<IntegrationInput['test']>, complain: Complain) {
  if ((image === undefined) === (service === undefined))
    complain([], `expected either image, or service and command, found ${image === undefined ? 'none' : 'both'}`);
  if (image !== undefined) return { kind: 'image' as const, image, ...(command !== undefined && { command }) };
  if (service !== undefined && command === undefined)
    complain(['command'], 'expected the command that is run in the service, found nothing');
  return { kind: 'exec' as const, service: service ?? '', command: command ?? [] };
}
