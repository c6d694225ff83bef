/**
 * Keeps so many connections to a port open as it can, from an address of its own: `attacker.ts PORT ADDRESS COUNT REQUEST`. Each sends the
 * text, and from then on nothing, or a byte now and then; one that is cut off is tried again. It says so once it has tried twice as many.
 */
import { connect } from 'node:net';

const [port = '', address = '', count = '', text = ''] = process.argv.slice(2);
const againAfterMs = 1_000;
const open = new Set<ReturnType<typeof connect>>();
let tried = 0;

function begin(): void {
  const socket = connect({ port: Number(port), host: '127.0.0.1', localAddress: address });
  tried += 1;
  if (tried === 2 * Number(count)) process.send?.('tried');
  open.add(socket);
  socket.once('connect', () => {
    if (text !== '') socket.write(text);
  });
  socket.on('error', () => undefined);
  socket.once('close', () => {
    open.delete(socket);
    setTimeout(begin, againAfterMs);
  });
  socket.resume();
}

for (let index = 0; index < Number(count); index += 1) begin();
setInterval(() => {
  for (const socket of open) if (text !== '' && Math.random() < 0.05) socket.write(' ');
}, 500);
process.on('disconnect', () => process.exit());
