import assert from 'node:assert/strict';
import { wroteTooMuch } from '../../../src/checks/smoke/pod/refusals.ts';

describe('an evicted pod', () => {
  // The kubelet's own words: pkg/kubelet/eviction/helpers.go of Kubernetes.
  const table: readonly (readonly [says: string, isOwn: boolean])[] = [
    ['Container candidate exceeded its local ephemeral storage limit "1Mi". ', true],
    ['Pod ephemeral local storage usage exceeds the total limit of containers 1Mi. ', true],
    ['Usage of EmptyDir volume "tmp" exceeds the limit "64Mi". ', true],
    ['The node was low on resource: memory. Container candidate was using 1Mi, which exceeds its request of 0. ', false],
    ['The node had condition: [DiskPressure]. ', false],
  ];
  for (const [says, isOwn] of table)
    it(`${isOwn ? 'wrote more than it may' : 'is no fault of the image'}: ${says.trim()}`, () => {
      assert.equal(wroteTooMuch(says), isOwn);
    });
});
