import { largestBody, problem, readBody } from './http.js';
import { publishedImage } from './published-image.js';

/**
 * Verifies GitHub's webhooks and starts the workflow of the deployment repository, with no server anywhere. What a webhook says is used only
 * after its signature was right.
 */

/**
 * @typedef {object} DispatchSettings
 * @property {string} [DEPLOYMENT_REPOSITORY] `owner/name`
 * @property {string} [WEBHOOK_SECRET] that of the webhook at GitHub
 * @property {string} [WEBHOOK_SECRET_OLD] the one before it, while it is being replaced
 * @property {string} [GITHUB_TOKEN] may write the contents of the deployment repository, and nothing else
 * @property {string} [EVENT_TYPE] default: image_published
 * @property {string} [GITHUB_API_URL] of a GitHub Enterprise Server
 */

/** GitHub gives up after ten seconds. */
const timeoutMs = 8_000;

/**
 * @param {Request} request
 * @param {DispatchSettings} settings
 * @returns {Promise<Response>}
 */
export async function dispatch(request, settings) {
  if (new URL(request.url).pathname !== '/webhook/image-published') return problem(404, 'Expected /webhook/image-published.');
  if (request.method !== 'POST') return problem(405, 'Expected POST.', { Allow: 'POST' });
  const secrets = [settings.WEBHOOK_SECRET, settings.WEBHOOK_SECRET_OLD].flatMap((secret) => secret || []);
  if (secrets.length === 0 || !settings.GITHUB_TOKEN) {
    return problem(503, 'The Worker is not set up: WEBHOOK_SECRET or GITHUB_TOKEN is missing.');
  }
  const body = await readBody(request);
  if (body === undefined) return problem(413, `Expected at most ${largestBody} bytes.`);
  if (!(await isSigned(body, request.headers.get('x-hub-signature-256'), secrets))) {
    return problem(401, 'Expected X-Hub-Signature-256 with the HMAC of the body.');
  }
  const image = readImage(body);
  if ('problem' in image) return problem(400, image.problem);
  return 'ignored' in image ? Response.json(image) : await send(image, settings);
}

/**
 * @param {Uint8Array<ArrayBuffer>} body
 * @param {string | null} header
 * @param {readonly string[]} secrets
 */
async function isSigned(body, header, secrets) {
  const [, hex] = /^sha256=([0-9a-f]{64})$/.exec(header ?? '') ?? [];
  if (hex === undefined) return false;
  const signature = Uint8Array.from(hex.match(/../g) ?? [], (pair) => Number.parseInt(pair, 16));
  const verified = secrets.map(async (secret) => {
    const algorithm = { name: 'HMAC', hash: 'SHA-256' };
    const key = await crypto.subtle.importKey('raw', new TextEncoder().encode(secret), algorithm, false, ['verify']);
    // In constant time, as a comparison of texts is not.
    return await crypto.subtle.verify('HMAC', key, signature, body);
  });
  return (await Promise.all(verified)).includes(true);
}

/** @param {Uint8Array} body */
function readImage(body) {
  try {
    return publishedImage(JSON.parse(new TextDecoder().decode(body)));
  } catch {
    return { problem: 'Expected JSON: choose the content type application/json for the webhook.' };
  }
}

/**
 * @param {import('./published-image.js').PublishedImage} image
 * @param {DispatchSettings} settings
 */
async function send(image, { DEPLOYMENT_REPOSITORY, GITHUB_TOKEN, EVENT_TYPE, GITHUB_API_URL = 'https://api.github.com' }) {
  try {
    const answer = await fetch(`${GITHUB_API_URL}/repos/${DEPLOYMENT_REPOSITORY}/dispatches`, {
      method: 'POST',
      headers: {
        Accept: 'application/vnd.github+json',
        Authorization: `Bearer ${GITHUB_TOKEN}`,
        'Content-Type': 'application/json',
        // GitHub refuses requests without one, and Workers send none.
        'User-Agent': 'landfall-webhook',
      },
      body: JSON.stringify({ event_type: EVENT_TYPE || 'image_published', client_payload: image }),
      redirect: 'manual',
      signal: AbortSignal.timeout(timeoutMs),
    });
    if (answer.ok) return Response.json({ dispatched: image }, { status: 202 });
    const mend = answer.status < 500 ? ' Check GITHUB_TOKEN, and that it may write the contents of DEPLOYMENT_REPOSITORY.' : '';
    return problem(502, `GitHub answered the dispatch with ${answer.status}.${mend}`);
  } catch {
    return problem(502, 'GitHub did not answer in time. Send it again later.', { 'Retry-After': '10' });
  }
}
