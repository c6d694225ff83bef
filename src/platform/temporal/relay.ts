import { once } from 'node:events';
import { createServer, connect as dial, type Server, type Socket } from 'node:net';
import { listenAt, type PortChoice } from '../ports.ts';

/** Where a relay passes connections on to. */
interface RelayTarget {
  readonly port: number;
  /** Whether the process that was found to listen there still runs. */
  isAlive(): Promise<boolean>;
}

/**
 * A listener that keeps its port as long as this process lives, in front of a server that comes and goes. A server that ends gives its port up,
 * another process may take it, and clients that reconnect, as gRPC's do, would reach that one. So the port that they know is ours, and a
 * connection is passed on only to the server that the owner has made sure of.
 */
export class Relay {
  readonly #ip: string;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #target: RelayTarget | undefined;
  #port = 0;

  constructor(ip: string) {
    this.#ip = ip;
    this.#server = createServer({ noDelay: true }, (client) => this.#accept(client));
  }

  /** @throws where the configured port is taken */
  static async open(choice: PortChoice): Promise<Relay> {
    const relay = new Relay(choice.ip);
    relay.#port = await listenAt(relay.#server, choice);
    return relay;
  }

  get port(): number {
    return this.#port;
  }

  /** From now on connections go to this server. */
  passTo(target: RelayTarget): void {
    this.#target = target;
  }

  /** Ends all connections, and refuses new ones until there is a server again. The port is kept. */
  shut(): void {
    this.#target = undefined;
    for (const socket of this.#sockets) socket.destroy();
  }

  /** The same, and gives the port back. */
  async close(): Promise<void> {
    const closed = once(this.#server, 'close');
    this.#server.close();
    this.shut();
    await closed;
  }

  #accept(client: Socket): void {
    const target = this.#target;
    this.#track(client);
    if (target === undefined) return void client.destroy();
    const server = dial({ port: target.port, host: this.#ip, noDelay: true });
    this.#track(server);
    client.once('close', () => server.destroy());
    server.once('close', () => client.destroy());
    server.once('connect', () => void this.#join(client, server, target));
  }

  /** A server that lives after the connection was made is the one that took it: nobody else can listen at its port meanwhile. */
  async #join(client: Socket, server: Socket, target: RelayTarget): Promise<void> {
    const isAlive = await target.isAlive().catch(() => false);
    if (isAlive && this.#target === target) client.pipe(server).pipe(client);
    else client.destroy();
  }

  #track(socket: Socket): void {
    this.#sockets.add(socket);
    socket.once('close', () => this.#sockets.delete(socket));
    // An error ends a connection, and its other side with it; the clients of both know what to do.
    socket.on('error', () => socket.destroy());
  }
}
