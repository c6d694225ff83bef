/**
 * How soon Landfall notices that a worker was killed. Constants, and no settings: what a workflow asks of Temporal must not depend on where it
 * runs. The tests of kills run a build with shorter ones, see scripts/setup/build.mjs.
 */

/** A step that has not sent a heartbeat for this long is begun anew by another worker. */
export const heartbeatTimeout = '10s';

/** What a step tells while it lives goes to Temporal at most this often: of 0.8 of the time-out, the SDK's default, one late answer is too much. */
export const heartbeatThrottle = '3s';

/** A workflow that its worker has not taken up for this long goes on at another one. */
export const stickyTimeout = '5s';
