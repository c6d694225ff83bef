import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** What goes wrong with the next request. */
export interface TargetFault {
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  /** The connection ends without an answer, or in the middle of one. */
  readonly cut?: 'before' | 'within';
  /** The request takes effect, and only its answer is lost or replaced. */
  readonly afterwards?: boolean;
  /** How many requests; 1 unless said otherwise. */
  readonly times?: number;
}

export interface TargetRequest {
  readonly method: string;
  /** With the query. */
  readonly path: string;
  readonly headers: IncomingMessage['headers'];
  readonly text: string;
}

export interface TargetReply {
  readonly status: number;
  readonly headers?: Readonly<Record<string, string>>;
  /** Sent as JSON, or as it is where it is text. */
  readonly body?: unknown;
}

export interface TargetServer {
  /** `http://127.0.0.1:PORT` */
  readonly url: string;
  readonly requests: readonly TargetRequest[];
  failNext(fault: TargetFault): void;
  /** It does not listen any more, until `back`. */
  away(): Promise<void>;
  back(): Promise<void>;
  stop(): Promise<void>;
}

/** A hosted service that people are told by: `answer` has its state and its rules, this has what goes wrong on the way. */
export async function startTargetServer(answer: (request: TargetRequest) => TargetReply): Promise<TargetServer> {
  const requests: TargetRequest[] = [];
  const faults: { fault: TargetFault; left: number }[] = [];
  const handle = async (incoming: IncomingMessage, response: ServerResponse): Promise<void> => {
    const request = {
      method: incoming.method ?? '',
      path: incoming.url ?? '',
      headers: incoming.headers,
      text: await textOf(incoming),
    };
    requests.push(request);
    const [next] = faults;
    if (next !== undefined) {
      next.left -= 1;
      if (next.left === 0) faults.shift();
    }
    const fault = next?.fault;
    const reply = fault === undefined || fault.afterwards ? answer(request) : { status: 500 };
    if (fault?.cut !== undefined) cut(fault.cut, response);
    else send(response, fault === undefined ? reply : { status: 500, ...fault });
  };
  const create = () => createServer((incoming, response) => void handle(incoming, response).catch(() => response.destroy()));
  let server: Server | undefined = create().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const away = async (): Promise<void> => {
    const closing = server;
    server = undefined;
    if (closing === undefined) return;
    const closed = once(closing, 'close');
    closing.close();
    closing.closeAllConnections();
    await closed;
  };
  return {
    url: `http://127.0.0.1:${port}`,
    requests,
    failNext: (fault) => void faults.push({ fault, left: fault.times ?? 1 }),
    away,
    async back() {
      server = create().listen(port, '127.0.0.1');
      await once(server, 'listening');
    },
    stop: away,
  };
}

function send(response: ServerResponse, { status, headers = {}, body }: TargetReply): void {
  const text = body === undefined ? '' : typeof body === 'string' ? body : JSON.stringify(body);
  const type = typeof body === 'string' ? 'text/html' : 'application/json';
  response.writeHead(status, { 'content-type': type, ...headers }).end(text);
}

function cut(where: 'before' | 'within', response: ServerResponse): void {
  if (where === 'before') {
    response.destroy();
    return;
  }
  response.writeHead(200, { 'content-type': 'application/json', 'content-length': '100' });
  response.write('{"id":', () => response.destroy());
}

async function textOf(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString('utf8');
}
