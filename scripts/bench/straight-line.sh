#!/usr/bin/env bash
# What Landfall is measured against: a careful person's script that does the same work, one step after the other. It is told what was
# pushed, so it waits for no webhook and asks no registry. It says which step it begins, and cleans up only once the branch is there.
set -euo pipefail

# REPOSITORY, TAG, DIGEST      what was pushed
# PORT, HEALTH_PATH            where the service answers once it is ready
# TRIVY, TRIVY_CACHE           the program (a command line), and the folder with its database
# DEPLOYMENT, BRANCH           the git remote with docker-compose.yml, and the branch to push
# WORK                         a folder to work in
image="$REPOSITORY@$DIGEST"
name="by-hand-${DIGEST:7:12}"
work=$(mktemp -d "$WORK/by-hand.XXXXXX")

clean_up() {
  docker rm --force --volumes "$name" >/dev/null 2>&1 || true
  docker network rm "$name" >/dev/null 2>&1 || true
  docker image rm "$image" >/dev/null 2>&1 || true
  rm -rf "$work"
}
trap clean_up EXIT

# One HTTP request in bash itself, because starting curl each time takes longer. In a subshell, which a connection that breaks may kill.
answers() (
  exec 3<>"/dev/tcp/127.0.0.1/$1"
  printf 'GET %s HTTP/1.0\r\n\r\n' "$HEALTH_PATH" >&3
  read -r -t 5 line <&3
  [[ $line == HTTP/1.?\ [23]* ]]
) 2>/dev/null

echo pull
docker pull --quiet "$image" >/dev/null

echo scan
# shellcheck disable=SC2086 # a command line is split into its words
TRIVY_INSECURE=true $TRIVY image --quiet --cache-dir "$TRIVY_CACHE" --skip-db-update --skip-java-db-update --offline-scan \
  --skip-version-check --disable-telemetry --scanners vuln,secret --image-src remote --format json --output "$work/trivy.json" "$image"
# shellcheck disable=SC2086
$TRIVY convert --quiet --format cyclonedx --output "$work/sbom.cdx.json" "$work/trivy.json"
if grep -q '"Severity": "CRITICAL"' "$work/trivy.json"; then
  echo "$image has critical findings" >&2
  exit 1
fi

echo smoke
docker network create "$name" >/dev/null
docker run --detach --name "$name" --network "$name" --publish "127.0.0.1::$PORT" --memory 512m --memory-swap 512m --cpus 1 \
  --pids-limit 256 --cap-drop ALL --security-opt no-new-privileges --log-opt max-size=1m "$image" >/dev/null
published=$(docker port "$name" "$PORT/tcp")
for ((tries = 0; ; tries++)); do
  answers "${published##*:}" && break
  if ((tries == 240)) || [[ $(docker inspect --format '{{.State.Running}}' "$name") != true ]]; then
    docker logs --tail 50 "$name" >&2
    exit 1
  fi
  sleep 0.25
done

echo propose
git clone --quiet --depth 1 "file://$DEPLOYMENT" "$work/deployment"
cd "$work/deployment"
git checkout --quiet -b "$BRANCH"
sed -i.before -E "s#(image: )[^ ]*/team/web:[^ ]*#\1$REPOSITORY:$TAG@$DIGEST#" docker-compose.yml
git -c user.name='A script' -c user.email=script@example.org commit --quiet --message 'chore: update web image' docker-compose.yml
git push --quiet origin "$BRANCH"
echo proposed
