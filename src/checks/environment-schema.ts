import { z } from 'zod';
import { type SecretCheck, text, textOrSecret } from '../settings/scalars.ts';

/** Environment variables of what a check starts. @param description a sentence */
export function environment(check: SecretCheck, description: string) {
  return z
    .record(text('the name of an environment variable', /^[^=\s]+$/), textOrSecret(check))
    .meta({ description: `${description} Text that begins with env: or file: is a reference to a secret.` })
    .exactOptional();
}
