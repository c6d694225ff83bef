import worker from '../../src/index.js';

/**
 * The same as a function of Cloudflare Pages.
 * @param {{ request: Request, env: Parameters<typeof worker.fetch>[1] }} context
 */
export const onRequest = ({ request, env }) => worker.fetch(request, env);
