import { createHash, randomUUID } from 'node:crypto';
import { type HttpServer, startHttpServer } from './http-server.ts';
import { type OidcIssuer, startOidcIssuer } from './oidc-issuer.ts';

/** An OpenID provider where somebody is logged in already: whoever is sent there is sent back at once, with a code. */
export interface LoginProvider {
  readonly issuer: OidcIssuer;
  /** Who is logged in there, as claims. */
  person: Record<string, unknown>;
  stop(): Promise<void>;
}

export const clientSecret = 'the-secret-of-a-client-at-a-provider';

/** It checks what is asked for as providers do: the redirect, PKCE with S256, the client's secret, each code once. */
export async function startLoginProvider(redirectUrl: () => string): Promise<LoginProvider> {
  const issuer = await startOidcIssuer();
  const codes = new Map<string, { readonly challenge: string; readonly nonce: string }>();
  const provider = { issuer, person: {} as Record<string, unknown> };
  const authorize = (asked: URLSearchParams): string => {
    const problem =
      asked.get('redirect_uri') !== redirectUrl() ||
      asked.get('code_challenge_method') !== 'S256' ||
      asked.get('client_id') !== 'landfall';
    if (problem) throw new Error(`a provider would refuse this: ${asked}`);
    const code = randomUUID();
    codes.set(code, { challenge: asked.get('code_challenge') ?? '', nonce: asked.get('nonce') ?? '' });
    return `${redirectUrl()}?code=${code}&state=${asked.get('state')}&iss=${encodeURIComponent(issuer.url)}`;
  };
  const exchange = async (asked: URLSearchParams): Promise<object | undefined> => {
    const known = codes.get(asked.get('code') ?? '');
    codes.delete(asked.get('code') ?? '');
    const challenge = createHash('sha256')
      .update(asked.get('code_verifier') ?? '')
      .digest('base64url');
    if (known?.challenge !== challenge || asked.get('client_secret') !== clientSecret) return undefined;
    const idToken = await issuer.sign({ sub: 'subject-1', aud: 'landfall', nonce: known.nonce, ...provider.person });
    return { access_token: 'access', token_type: 'Bearer', expires_in: 60, id_token: idToken };
  };
  const server: HttpServer = await startHttpServer(async (request, response) => {
    const url = new URL(request.url ?? '', 'http://here');
    if (url.pathname === '/authorize') return response.writeHead(302, { Location: authorize(url.searchParams) }).end();
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const answer = await exchange(new URLSearchParams(Buffer.concat(chunks).toString()));
    response.writeHead(answer === undefined ? 400 : 200, { 'Content-Type': 'application/json' });
    return response.end(JSON.stringify(answer ?? { error: 'invalid_grant' }));
  });
  Object.assign(issuer.discovery, {
    authorization_endpoint: `http://${server.host}/authorize`,
    token_endpoint: `http://${server.host}/token`,
    response_types_supported: ['code'],
    authorization_response_iss_parameter_supported: true,
  });
  return Object.assign(provider, {
    async stop() {
      await server.stop();
      await issuer.stop();
    },
  });
}
