/**
 * What a registry knows us by. As Docker has it, the user name `<token>` says that the password is an identity token, which the
 * registry's token server takes in place of a password.
 */
export interface RegistryCredentials {
  readonly username: string;
  readonly password: string;
}

/** The user name that marks an identity token. */
export const identityTokenUser = '<token>';

/** Finds the credentials for a registry's host (`ghcr.io`, `docker.io`, `localhost:5000`), or none: then we come anonymously. */
export type CredentialsSource = (host: string) => Promise<RegistryCredentials | undefined>;

/** Asks one source after the other, until one has credentials. */
export function firstCredentials(...sources: readonly CredentialsSource[]): CredentialsSource {
  return async (host) => {
    for (const source of sources) {
      const found = await source(host);
      if (found !== undefined) return found;
    }
    return undefined;
  };
}

/** Value of the Authorization header of HTTP Basic authentication (RFC 7617). */
export function basicAuthorization({ username, password }: RegistryCredentials): string {
  return `Basic ${Buffer.from(`${username}:${password}`, 'utf8').toString('base64')}`;
}
