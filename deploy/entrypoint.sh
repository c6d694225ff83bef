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
as_node() {
  setpriv --reuid=1000 --regid=1000 --groups="$groups" --no-new-privs "$@"
}

# In place of quay-github-actions-dispatch, which runs as root: port 443, and a private key that is mostly root's alone. User node is
# given just these two abilities of root's, and only where it needs them.
abilities=
if [ -n "${GH_TOKEN:-}" ] && [ ! -e "${LANDFALL_CONFIG:-landfall.yaml}" ]; then
  lowest=$(cat /proc/sys/net/ipv4/ip_unprivileged_port_start 2> /dev/null || echo 1024)
  if [ "$lowest" -gt 443 ]; then
    abilities=+net_bind_service
  fi
  certs="${LANDFALL_CERTS:-/certs}"
  for file in "$certs" "$certs"/*.pem "$certs"/*.crt "$certs"/*.key "${CRT:-}" "${KEY:-}"; do
    if [ -e "$file" ] && ! as_node test -r "$file"; then
      abilities="${abilities:+$abilities,}+dac_override"
      break
    fi
  done
fi
if [ -n "$abilities" ] && ! as_node --inh-caps="$abilities" --ambient-caps="$abilities" true 2> /dev/null; then
  echo "landfall: this container may not give user node the capabilities $abilities: let it read the files of ${certs}, and listen elsewhere (LANDFALL_WEBHOOKS=0.0.0.0:8443)" >&2
  abilities=
fi

# A new volume belongs to root. Only the folders themselves: what is inside was written by us, and a link that it made leads to nothing
# that it should be given.
for folder in /landfall /landfall/data /landfall/artifacts; do
  if [ -d "$folder" ] && [ ! -L "$folder" ] && [ -w "$folder" ]; then
    chown -h node:node "$folder"
  fi
done
exec setpriv --reuid=1000 --regid=1000 --groups="$groups" --no-new-privs \
  ${abilities:+--inh-caps="$abilities" --ambient-caps="$abilities"} "$@"
