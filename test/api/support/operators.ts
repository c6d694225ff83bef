import assert from 'node:assert/strict';
import { join } from 'node:path';
import type { Client } from '@temporalio/client';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { pino } from 'pino';
import { createOperatorApp } from '../../../src/api/index.ts';
import { apiRoutes } from '../../../src/api/operators/v1/index.ts';
import { openApiDocument } from '../../../src/api/operators/v1/openapi.ts';
import type { Configuration } from '../../../src/config/configuration.ts';
import { loadConfiguration } from '../../../src/config/load.ts';
import type { AuditEntry } from '../../../src/domain/audit.ts';
import type { Environment } from '../../../src/domain/environment.ts';
import { type ConnectionLimits, createListeners } from '../../../src/http/listeners.ts';
import { operatorParts } from '../../../src/process/operators.ts';
import { product } from '../../../src/product.ts';
import { createSecretResolver } from '../../../src/settings/secrets.ts';
import { createMetrics } from '../../../src/telemetry/metrics.ts';

/** The operators' listener of a configuration. */
export interface OperatorListener {
  readonly url: string;
  /** What was recorded since the start. */
  readonly audited: AuditEntry[];
  /** An answer of the API, which is what its OpenAPI document says. */
  ask<Answer = Record<string, unknown>>(path: string, options?: AskOptions): Promise<ApiAnswer<Answer>>;
  /** As when the file was read again. */
  configure(text: string): void;
  stop(): Promise<void>;
}

interface ListenOptions {
  readonly env?: Environment;
  readonly port?: number;
  readonly limits?: Partial<ConnectionLimits>;
}

interface AskOptions {
  readonly token?: string;
  /** Posted as JSON. */
  readonly body?: unknown;
  readonly headers?: Record<string, string>;
}

export interface ApiAnswer<Answer> {
  readonly status: number;
  readonly body: Answer;
  readonly headers: Headers;
}

/** @param text of landfall.yaml @param port where it is known before, such as for the address that a provider sends people back to */
export async function startOperators(
  client: Client,
  folder: string,
  text: string,
  { env = {}, port = 0, limits }: ListenOptions = {},
): Promise<OperatorListener> {
  const read = (said: string): Configuration => {
    const loaded = loadConfiguration(join(folder, 'landfall.yaml'), env, product, { text: said });
    if ('problems' in loaded) throw new Error(JSON.stringify(loaded.problems));
    return loaded.configuration;
  };
  const current = { configuration: read(text) };
  const log = pino({ level: process.env.LANDFALL_TEST_LOG ?? 'silent' });
  const audited: AuditEntry[] = [];
  const audit = (entry: AuditEntry) => void audited.push(entry);
  const secrets = createSecretResolver(env, folder);
  const {
    stop: stopFeed,
    isForUs,
    ...parts
  } = operatorParts(current, { client, namespace: 'default' }, { log, audit, secrets }, () => [], env);
  const app = createOperatorApp({ metrics: createMetrics(), log, reachTemporal: async () => undefined, isForUs, parts });
  const settings = [{ ...{ name: 'listen.operators', handler: app.callback() }, ...{ host: '127.0.0.1', port } }];
  const listeners = createListeners(settings, log, limits);
  const [address] = await listeners.start();
  const url = `http://127.0.0.1:${address?.port}`;
  return {
    url,
    audited,
    configure(said) {
      current.configuration = read(said);
    },
    async ask(path, { token, body, headers = {} } = {}) {
      const response = await fetch(`${url}/api/v1${path}`, {
        ...(body !== undefined && { method: 'POST', body: JSON.stringify(body) }),
        headers: {
          ...(body !== undefined && { 'Content-Type': 'application/json' }),
          ...(token !== undefined && { Authorization: `Bearer ${token}` }),
          ...headers,
        },
      });
      const answer = JSON.parse(await response.text());
      requireAsDocumented(body === undefined ? 'get' : 'post', path, response, answer);
      return { status: response.status, body: answer, headers: response.headers };
    },
    async stop() {
      stopFeed();
      await listeners.stop();
    },
  };
}

const document = openApiDocument(apiRoutes, 'test');
const ajv = new Ajv2020({ strict: false, validateFormats: false });
ajv.addSchema(document, 'openapi');

/** Fails where an answer has another status, media type or shape than its document tells. */
export function requireAsDocumented(method: string, path: string, response: Response, answer: unknown): void {
  const [pathname = ''] = path.split('?');
  const paths = Object.keys(document.paths as object);
  const template = paths.find((known) => new RegExp(`^${known.replaceAll(/\{\w+\}/g, '[^/]+')}$`).test(pathname));
  if (template === undefined) {
    assert.equal(response.status, 404, `${path} is not in the document`);
    return;
  }
  const mediaType = response.headers.get('content-type')?.split(';')[0] ?? '';
  const pointer = ['paths', template, method, 'responses', String(response.status), 'content', mediaType, 'schema'];
  const validate = ajv.getSchema(`openapi#/${pointer.map(escaped).join('/')}`);
  assert.ok(validate, `${method} ${path}: nothing is said of ${response.status} as ${mediaType}: ${JSON.stringify(answer)}`);
  assert.ok(
    validate(answer),
    `${method} ${path}: ${JSON.stringify(validate.errors)} in ${JSON.stringify(answer).slice(0, 2_000)}`,
  );
}

function escaped(part: string): string {
  return encodeURIComponent(part.replaceAll('~', '~0').replaceAll('/', '~1'));
}
