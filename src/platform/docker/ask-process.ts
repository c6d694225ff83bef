/**
 * Runs in a container of its own, in the network of the container under test: for each line on standard input it asks once, and prints one line
 * of JSON. It has no port, no secret and no rights, and ends with its input. See ask-helper.ts.
 */
import { createInterface } from 'node:readline';
import { messageOf } from '../../domain/errors.ts';
import { type Address, askPort, type PortProbe } from './ask.ts';

const { probe, address }: { readonly probe: PortProbe; readonly address: Address } = JSON.parse(process.argv[2] ?? '{}');
const never = new AbortController().signal;
const say = (line: object) => process.stdout.write(`${JSON.stringify(line)}\n`);

say({ ready: true });
for await (const _ of createInterface({ input: process.stdin })) {
  say({ found: await askPort(probe, address, never).catch(messageOf) });
}
