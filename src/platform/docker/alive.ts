import { Agent as HttpAgent } from 'node:http';
import { Agent as HttpsAgent } from 'node:https';
import Docker from 'dockerode';

/** A daemon that is going down under systemd is asked, and does not answer. */
const answerWithinMs = 5_000;

/**
 * Whether Docker is there to stay. A daemon that shuts down stops all containers, and goes on to answer over the connections that it has:
 * what it says about a container then is no verdict on its image. It does not accept new connections any more.
 * @throws Error if Docker takes no new connection
 */
export async function requireAlive(docker: Docker): Promise<void> {
  const modem: object = docker.modem;
  const isTls = 'protocol' in modem && modem.protocol === 'https';
  const agent = isTls ? new HttpsAgent({ keepAlive: false }) : new HttpAgent({ keepAlive: false });
  const anew = new Docker();
  anew.modem = Object.assign(Object.create(Object.getPrototypeOf(modem)), modem, { agent, timeout: answerWithinMs });
  try {
    await anew.ping();
  } catch (error) {
    throw new Error('Docker is being stopped or restarted, and its containers with it: it is tried again once Docker is back', {
      cause: error,
    });
  }
}
