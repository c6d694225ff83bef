#!/usr/bin/env bash
# What the demo of builds is measured against: a careful person's script from a commit to a service that answers, one step after the other.
# It keeps no record, makes no SBOM, asks no registry, and starts anew where it was interrupted. It says which step it begins.
set -euo pipefail

# SOURCE, COMMIT               the git remote, and the commit to build
# IMAGE, PLATFORM              the repository that it is pushed to, and what it is built for
# BUILDX, COMPOSE, TRIVY       the programs (TRIVY is a command line)
# TRIVY_CACHE                  the folder with Trivy's database
# DEPLOYMENT                   the git remote with docker-compose.yml
# PROJECT, WEB_PORT            what Compose calls it, and where it answers
# WORK                         a folder to work in
export WEB_PORT
tag="${COMMIT:0:12}"
image="$IMAGE:$tag"
work=$(mktemp -d "$WORK/by-hand.XXXXXX")

clean_up() {
  "$COMPOSE" --project-name "$PROJECT" --file "$work/deployment/docker-compose.yml" down --timeout 1 >/dev/null 2>&1 || true
  docker image rm --force "$image" >/dev/null 2>&1 || true
  rm -rf "$work"
}
trap clean_up EXIT

# One HTTP request in bash itself, because starting curl each time takes longer. In a subshell, which a connection that breaks may kill.
answers() (
  exec 3<>"/dev/tcp/127.0.0.1/$WEB_PORT"
  printf 'GET /health HTTP/1.0\r\n\r\n' >&3
  read -r -t 5 line <&3
  [[ $line == HTTP/1.?\ [23]* ]]
) 2>/dev/null

echo clone
git clone --quiet "$SOURCE" "$work/source"
git -C "$work/source" checkout --quiet "$COMMIT"

echo build
"$BUILDX" build --quiet --platform "$PLATFORM" --provenance mode=max --tag "$image" --load "$work/source" >/dev/null

echo smoke
docker run --rm --network none --memory 512m --cpus 1 --cap-drop ALL "$image" sh /app/test.sh >/dev/null

echo scan
docker save --output "$work/image.tar" "$image"
# shellcheck disable=SC2086 # a command line is split into its words
$TRIVY image --quiet --cache-dir "$TRIVY_CACHE" --skip-db-update --skip-java-db-update --offline-scan --skip-version-check \
  --disable-telemetry --scanners vuln,secret --severity CRITICAL --exit-code 1 --input "$work/image.tar" >/dev/null

echo push
docker push --quiet "$image" >/dev/null

echo propose
git clone --quiet "$DEPLOYMENT" "$work/deployment"
sed -i.before -E "s#(image: )[^ ]*/web:[^ ]*#\1$image#" "$work/deployment/docker-compose.yml"
git -C "$work/deployment" -c user.name='A script' -c user.email=script@example.org commit --quiet --all --message "$image"
git -C "$work/deployment" push --quiet origin HEAD:by-hand

echo deploy
"$COMPOSE" --progress quiet --project-name "$PROJECT" --file "$work/deployment/docker-compose.yml" up --detach web
for ((tries = 0; ; tries++)); do
  answers && break
  ((tries == 240)) && exit 1
  sleep 0.1
done
echo delivered
