import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { info, notice } from '@actions/core';

/** What is known to be wrong is shown, and stops nothing: that is for whoever deploys the image. Without Trivy on the runner nothing is shown. */
export async function scan(image: string): Promise<void> {
  const trivy = spawn('trivy', ['image', '--severity', 'HIGH,CRITICAL', '--scanners', 'vuln', '--exit-code', '0', image], {
    stdio: 'inherit',
  });
  try {
    const [code] = await once(trivy, 'close');
    if (code !== 0) notice(`the scan of ${image} ended with ${code}, and says nothing about it`);
  } catch {
    info('There is no trivy on this runner, so nothing is scanned: aquasecurity/setup-trivy brings it.');
  }
}
