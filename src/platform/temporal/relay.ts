import { once } from 'node:events';
import { createServer, connect as dial, type Server, type Socket } from 'node:net';
import { listenAt, type PortChoice } from '../ports.ts';

/** Where a relay passes connections on to. */
export interface RelayTarget {
  readonly port: number;
  /** Whether the process that was found to listen there still runs. */
  isAlive(): Promise<boolean>;
}

/** The server that connections are passed on to, while it is known to be the own one. */
export class RelayServer {
  readonly #ip: string;
  readonly #sockets = new Set<Socket>();
  #target: RelayTarget | undefined;

  /** @param ip where it listens */
  constructor(ip: string) {
    this.#ip = ip;
  }

  /** From now on connections go to this server. */
  passTo(target: RelayTarget): void {
    this.#target = target;
  }

  /** Ends all connections, and refuses new ones until there is a server again. */
  shut(): void {
    this.#target = undefined;
    for (const socket of this.#sockets) socket.destroy();
  }

  /** This one ends with the server, too. */
  track(socket: Socket): void {
    this.#sockets.add(socket);
    socket.once('close', () => this.#sockets.delete(socket));
    // An error ends a connection, and its other side with it; the clients of both know what to do.
    socket.on('error', () => socket.destroy());
  }

  /**
   * A new connection to it. One that lives after the connection was made is the one that took it: nobody else can listen at its port
   * meanwhile. @throws while there is none
   */
  async connect(): Promise<Socket> {
    const target = this.#target;
    if (target === undefined) throw new Error('the server does not run');
    const socket = dial({ port: target.port, host: this.#ip, noDelay: true });
    this.track(socket);
    await new Promise<void>((resolve, reject) => {
      socket.once('connect', resolve);
      socket.once('close', () => reject(new Error('the server does not take connections')));
    });
    if ((await target.isAlive().catch(() => false)) && this.#target === target && !socket.destroyed) return socket;
    socket.destroy();
    throw new Error('the server has ended');
  }
}

/**
 * A listener that keeps its port as long as this process lives, in front of a server that comes and goes. A server that ends gives its port up,
 * another process may take it, and clients that reconnect, as gRPC's do, would reach that one. So the port that they know is ours, and a
 * connection is passed on only to the server that the owner has made sure of.
 */
export class Relay {
  readonly #ours: RelayServer;
  readonly #listener: Server;
  readonly port: number;

  private constructor(ours: RelayServer, listener: Server, port: number) {
    this.#ours = ours;
    this.#listener = listener;
    this.port = port;
  }

  /** @param listener what passes on; default: whatever comes, byte for byte @throws where the configured port is taken */
  static async open(ours: RelayServer, choice: PortChoice, listener = passingAll(ours)): Promise<Relay> {
    return new Relay(ours, listener, await listenAt(listener, choice));
  }

  passTo(target: RelayTarget): void {
    this.#ours.passTo(target);
  }

  /** The port is kept. */
  shut(): void {
    this.#ours.shut();
  }

  /** The same, and gives the port back. */
  async close(): Promise<void> {
    const closed = once(this.#listener, 'close');
    this.#listener.close();
    this.shut();
    await closed;
  }
}

function passingAll(ours: RelayServer): Server {
  return createServer({ noDelay: true }, (client) => void passOn(client, ours));
}

async function passOn(client: Socket, ours: RelayServer): Promise<void> {
  ours.track(client);
  const server = await ours.connect().catch(() => undefined);
  if (server === undefined) return void client.destroy();
  client.once('close', () => server.destroy());
  server.once('close', () => client.destroy());
  if (client.destroyed) server.destroy();
  else client.pipe(server).pipe(client);
}
