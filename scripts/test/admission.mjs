import { cpus } from 'node:os';
import { setTimeout as pause } from 'node:timers/promises';

/** Of the processors, for as long, is idle where another file has room: much of what a test waits for is no work of this machine's. */
const leastIdle = 0.2;
const lookMs = 1_500;

/** Says when a lane may take its next file: one after the other, in the order of asking, and beyond a number only while the machine has room. */
export class Admission {
  #running = 0;
  /** @type {Promise<unknown>} */
  #turn = Promise.resolve();

  /**
   * @param {number} always so many at once are let in whatever the machine has to do
   * @param {(ms: number) => Promise<number>} idleFor see `idleShare`
   */
  constructor(always, idleFor = idleShare) {
    this.always = always;
    this.idleFor = idleFor;
  }

  /**
   * @template Result
   * @param {() => Promise<Result>} act
   * @returns {Promise<Result>}
   */
  async during(act) {
    const turn = this.#turn.then(() => this.#enter());
    this.#turn = turn;
    await turn;
    try {
      return await act();
    } finally {
      this.#running -= 1;
    }
  }

  async #enter() {
    while (this.#running >= this.always && (await this.idleFor(lookMs)) < leastIdle);
    this.#running += 1;
  }
}

/**
 * How much of the processors is idle while so much time passes, from 0 to 1.
 * @param {number} ms
 */
export async function idleShare(ms) {
  const before = times();
  await pause(ms);
  const now = times();
  return (now.idle - before.idle) / Math.max(1, now.all - before.all);
}

function times() {
  const sum = { idle: 0, all: 0 };
  for (const { times } of cpus()) {
    sum.idle += times.idle;
    sum.all += times.user + times.nice + times.sys + times.idle + times.irq;
  }
  return sum;
}
