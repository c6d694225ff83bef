import { ensureDocker } from '../../test/support/docker.ts';
import { fadingImage, healthyImage } from '../../test/support/production.ts';
import { startWorld } from '../../test/support/world.ts';
import { type Aim, median } from './report.ts';

/** From the verdict that an image is unhealthy to the first good reading of what ran before, with Docker Compose. */
export async function benchRollbacks(rounds: number, print: (line: string) => void): Promise<Aim[]> {
  print(`Rolling back ${rounds} images that turn unhealthy in production.`);
  const world = await startWorld({ forge: 'git', production: await ensureDocker(), service: { scan: 'off' } });
  try {
    await world.start();
    await world.until('latest', await world.push('latest', healthyImage('good')), 'delivered');
    const seconds: number[] = [];
    for (let round = 1; round <= rounds; round += 1) {
      const { reason = '' } = await world.until('latest', await world.push('latest', fadingImage(`bad-${round}`)), 'rolled-back');
      const [, after] = /healthy ([\d.]+) s after the verdict/.exec(reason) ?? [];
      if (after === undefined) throw new Error(`expected to be told how long the rollback took, found '${reason}'`);
      seconds.push(Number(after));
    }
    print(`  ${seconds.map((each) => `${each.toFixed(1)} s`).join(', ')}`);
    const what = 'seconds from the verdict to what ran before being healthy again';
    return [{ id: 'rollback', what, atMost: 4, found: median(seconds) }];
  } finally {
    await world.stop();
  }
}
