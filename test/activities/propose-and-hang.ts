import { MockActivityEnvironment } from '@temporalio/testing';
import { createPropose } from '../../src/activities/propose.ts';
import type { ProposeInput } from '../../src/contracts/activities/delivery.ts';
import type { Forge } from '../../src/forges/forge.ts';
import { createGitForge } from '../../src/forges/git/forge.ts';
import { gitEnvironment } from '../support/git-remote.ts';

/**
 * A worker that is to be killed: it runs `propose` with the JSON of its argument, says `hanging` once the named call of the forge
 * has been made (`commitFiles`) or is about to be made (`openChange`), and goes no further.
 */
interface Order {
  readonly input: ProposeInput;
  readonly folder: string;
  readonly workflowId: string;
  readonly at: 'commitFiles' | 'openChange';
}

const order = JSON.parse(process.argv[2] ?? '') as Order;
const forge = createGitForge({ folder: order.folder, env: gitEnvironment() });

function hang(): Promise<never> {
  process.stdout.write('hanging\n');
  // Holds the process until it is killed, and not one minute longer than a test can take.
  return new Promise((_, reject) => setTimeout(() => reject(new Error('nobody killed this process')), 60_000));
}

const hanging: Forge = {
  ...forge,
  async commitFiles(commit) {
    const made = await forge.commitFiles(commit);
    return order.at === 'commitFiles' ? hang() : made;
  },
  openChange: (change) => (order.at === 'openChange' ? hang() : forge.openChange(change)),
};

const { propose } = createPropose({ forgeFor: () => hanging });
const workflowExecution = { workflowId: order.workflowId, runId: 'run-1' };
await new MockActivityEnvironment({ workflowExecution }).run(propose, order.input);
