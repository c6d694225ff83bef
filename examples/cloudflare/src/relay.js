import { largestBody, problem, readBody } from './http.js';

/**
 * Relays webhooks to a Landfall behind a firewall. It changes no byte of the body and no header that a sender may
 * sign or authenticate with, so Landfall itself checks them; what comes back is Landfall's own answer. It keeps no secret of a sender, logs
 * nothing, and shows Cloudflare Access its own service token.
 */

/**
 * @typedef {object} RelaySettings
 * @property {string} [LANDFALL_URL] where the tunnel leads to Landfall's webhook listener
 * @property {string} [TIMEOUT_MS] how long Landfall may take
 * @property {string} [CF_ACCESS_CLIENT_ID] service token of Cloudflare Access; both, or none where the tunnel is not protected by it
 * @property {string} [CF_ACCESS_CLIENT_SECRET]
 */

const defaultTimeoutMs = 8_000;

/** Everything that Landfall's webhook listener has, but /incoming: a client certificate ends at Cloudflare. */
const relayedPaths = /^\/(?:webhook\/.|event$)/;

/** Of the connection, of Cloudflare, or what only we may say. */
const ownHeaders =
  /^(?:cf-.*|cdn-loop|x-forwarded-.*|forwarded|x-real-ip|host|connection|keep-alive|proxy-.*|te|trailer|transfer-encoding|upgrade|expect|content-length|accept-encoding|cookie)$/;

/** Access answers with cookies, which are not for the sender. */
const answeredHeaders = ['content-type', 'retry-after', 'www-authenticate', 'allow', 'cache-control', 'x-content-type-options'];

/**
 * @param {Request} request
 * @param {RelaySettings} settings
 * @returns {Promise<Response>}
 */
export async function relay(request, settings) {
  const { pathname, search } = new URL(request.url);
  if (!relayedPaths.test(pathname)) return problem(404, 'Expected the path of a webhook, such as /webhook/image-published.');
  if (request.method !== 'POST') return problem(405, 'Expected POST.', { Allow: 'POST' });
  const body = await readBody(request);
  if (body === undefined) return problem(413, `Expected at most ${largestBody} bytes.`);
  const { LANDFALL_URL: landfall = '', TIMEOUT_MS: timeout } = settings;
  if (!URL.canParse(landfall)) return problem(503, 'The relay is not set up: LANDFALL_URL is missing, or is no URL.');
  try {
    const answer = await fetch(`${landfall.replace(/\/+$/, '')}${pathname}${search}`, {
      method: 'POST',
      headers: relayedHeaders(request.headers, settings),
      body,
      // Landfall never redirects; Access does, to its log-in, and must not be followed there.
      redirect: 'manual',
      signal: AbortSignal.timeout(Number(timeout) || defaultTimeoutMs),
    });
    return await relayed(answer);
  } catch (error) {
    const isLate = error instanceof Error && error.name === 'TimeoutError';
    const message = isLate ? 'Landfall did not answer in time. Send it again later.' : 'Landfall cannot be reached. Send it again later.';
    return problem(isLate ? 504 : 502, message, { 'Retry-After': '10' });
  }
}

/**
 * @param {Headers} headers
 * @param {RelaySettings} settings
 */
function relayedHeaders(headers, { CF_ACCESS_CLIENT_ID: id, CF_ACCESS_CLIENT_SECRET: secret }) {
  const relayed = new Headers([...headers].filter(([name]) => !ownHeaders.test(name)));
  const sender = headers.get('cf-connecting-ip');
  if (sender !== null) relayed.set('X-Forwarded-For', sender);
  if (id && secret) {
    relayed.set('CF-Access-Client-Id', id);
    relayed.set('CF-Access-Client-Secret', secret);
  }
  return relayed;
}

/** @param {Response} answer */
async function relayed(answer) {
  if (answer.status >= 300 && answer.status < 400) {
    return problem(502, 'Something before Landfall asks for a log-in: check the service token and the policy of Cloudflare Access.');
  }
  const headers = [...answer.headers].filter(([name]) => answeredHeaders.includes(name));
  const isEmpty = answer.status === 204 || answer.status === 205;
  return new Response(isEmpty ? null : await answer.arrayBuffer(), { status: answer.status, headers });
}
