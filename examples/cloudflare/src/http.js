/** As much as Landfall takes. */
export const largestBody = 1024 * 1024;

/**
 * @param {Request} request
 * @returns {Promise<Uint8Array<ArrayBuffer> | undefined>} undefined where it is too large
 */
export async function readBody(request) {
  if (Number(request.headers.get('content-length') ?? 0) > largestBody) return undefined;
  /** @type {Uint8Array[]} */
  const chunks = [];
  let size = 0;
  const reader = request.body?.getReader();
  for (let part = await reader?.read(); part?.value !== undefined; part = await reader?.read()) {
    size += part.value.byteLength;
    if (size > largestBody) {
      await reader?.cancel();
      return undefined;
    }
    chunks.push(part.value);
  }
  const body = new Uint8Array(size);
  let at = 0;
  for (const chunk of chunks) {
    body.set(chunk, at);
    at += chunk.byteLength;
  }
  return body;
}

/**
 * An answer of the Worker itself, in the form of Landfall's own errors.
 * @param {number} status
 * @param {string} detail
 * @param {Record<string, string>} [headers]
 */
export function problem(status, detail, headers = {}) {
  const type = { 'Content-Type': 'application/problem+json', 'Cache-Control': 'no-store' };
  return new Response(JSON.stringify({ type: 'about:blank', status, detail }), { status, headers: { ...type, ...headers } });
}
