/**
 * What the host is to blame for, and not the image. Docker and Compose answer all of it with the same status, so their own words are what
 * there is; each is that of a released version, beside where it comes from. What is not known here counts as the image's.
 */
const hostFailures: readonly RegExp[] = [
  // libnetwork portallocator, docker-proxy, Go's net
  /port is already allocated/i,
  /bind: address already in use/i,
  /failed to bind host port/i,
  /ports are not available/i,
  /bind: cannot assign requested address/i,
  // libnetwork ipam (20.10, and since 24)
  /could not find an available, non-overlapping IPv4 address pool/i,
  /all predefined address pools have been fully subnetted/i,
  /no available IPv4 addresses on this network's address pools/i,
  /Address already in use$/im,
  // errno
  /no space left on device/i,
  /cannot allocate memory/i,
  /too many open files/i,
  /input\/output error/i,
  /read-only file system/i,
  // Compose 2 and 5: pkg/compose/create.go
  /external volume "[^"]*" not found/i,
  /network \S+ declared as external, but could not be found/i,
  // daemon/volumes_unix.go, runc's rootfs_linux.go
  /error while creating mount source path/i,
  /bind source path does not exist/i,
  /error mounting "[^"]*" to rootfs/i,
  /failed to populate volume|error while mounting volume/i,
  // daemon: networks, devices, runtimes, cgroups
  /network \S+ not found/i,
  /driver failed programming external connectivity/i,
  /failed to set up container networking/i,
  /could not select device driver/i,
  /error gathering device information/i,
  /unknown (?:or invalid )?runtime/i,
  /failed to create (?:shim|task).*cgroup/i,
  /is already in use by container/i,
];

/** The line that tells it; undefined if the host is not known to be to blame. */
export function hostFailure(text: string): string | undefined {
  const lines = text.split('\n');
  const line = lines.findLast((each) => hostFailures.some((pattern) => pattern.test(each)));
  return line?.trim().slice(0, 500);
}
