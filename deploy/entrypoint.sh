#!/bin/sh
# Runs Landfall as user node, with the group that the Docker socket belongs to, where the container was started as root.
set -eu

if [ "$(id -u)" -ne 0 ]; then
  exec "$@"
fi

socket=/var/run/docker.sock
groups=1000
if [ -S "$socket" ]; then
  groups="1000,$(stat -c %g "$socket")"
fi
# A new volume belongs to root. Only the folders themselves: what is inside was written by us.
for folder in /landfall /landfall/data /landfall/artifacts; do
  if [ -d "$folder" ] && [ -w "$folder" ]; then
    chown node:node "$folder"
  fi
done
exec setpriv --reuid=1000 --regid=1000 --groups="$groups" --no-new-privs "$@"
