import type { State } from '../../../platform/docker/readiness.ts';
import { CheckRefused } from '../../check.ts';
import { cannotStart, type FailureContext } from '../smoke-failure.ts';

const notStarted: State = { Running: false, ExitCode: 0, OOMKilled: false, Error: '', StartedAt: '', FinishedAt: '' };

/** What runtimes say of an image or a command that cannot be run; of anything else the node is to blame. */
const unrunnable =
  /executable file not found|no such file or directory|not a directory|permission denied|operation not permitted|exec format error|no command specified/i;

/** Undefined where the image is not to blame. */
export function podStartRefusal(why: string, context: FailureContext): CheckRefused | undefined {
  return unrunnable.test(why) ? cannotStart(why, notStarted, context) : undefined;
}

/** @param why as the kubelet says it: the image runs as root, or as a user whose number it does not tell */
export function userRefusal(why: string, context: FailureContext): CheckRefused {
  return refusal(
    `expected the image to run as a user that is not root, and by its number: ${why}: build it so (USER 1000), or set ` +
      "smoke.kubernetes.user to the number of a user that it can run as, or to image, which takes a namespace that does not enforce Pod Security's restricted",
    'not started',
    context,
  );
}

/** Whether a pod was evicted for its own limits, as the kubelet says it, and not because its node had too little of something. */
export function wroteTooMuch(why: string): boolean {
  return /exceeded its local ephemeral storage limit|exceeds the (?:total )?limit/.test(why);
}

/** @param why as the kubelet says it */
export function diskRefusal(why: string, context: FailureContext): CheckRefused {
  return refusal(
    `expected the container to write no more than it may, but Kubernetes ended it (${why.trim()}): raise smoke.disk, or make the image write less`,
    'out of disk',
    context,
  );
}

function refusal(message: string, fact: string, { where, log, mask }: FailureContext): CheckRefused {
  const evidence = { title: 'Smoke-tested', passed: false, text: `${where}, ${fact}`, log };
  return new CheckRefused('SmokeFailed', mask(message), [evidence]);
}
