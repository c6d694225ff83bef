import { once } from 'node:events';
import { connect } from 'node:net';

/** Everything that a server says on one connection after the text, until it closes the connection. */
export async function converse(port: number, text: string): Promise<string> {
  const socket = connect(port, '127.0.0.1');
  let heard = '';
  socket.setEncoding('utf8').on('data', (more: string) => {
    heard += more;
  });
  // A server that cuts us off may reset the connection; what it said before counts.
  socket.on('error', (error) => {
    heard += `\n[${error.message}]`;
  });
  const closed = once(socket, 'close');
  await once(socket, 'connect');
  socket.write(text);
  await closed;
  return heard;
}
