#!/bin/sh
# Makes the namespace, its retention and Landfall's search attributes. Repeating it changes nothing.
# Takes TEMPORAL_ADDRESS and TEMPORAL_NAMESPACE.
set -eu

attributes='
LandfallService=Keyword
LandfallImage=Keyword
LandfallDigest=Keyword
LandfallStatus=Keyword
LandfallStage=Keyword
LandfallChangedAt=Datetime
LandfallProposedSeconds=Int
LandfallHealthySeconds=Int
LandfallNeededPerson=Bool
'

attempt=0
until temporal operator cluster health; do
  attempt=$((attempt + 1))
  if [ "$attempt" -ge 60 ]; then
    echo "Temporal at $TEMPORAL_ADDRESS did not become healthy" >&2
    exit 1
  fi
  sleep 2
done

# The operator commands take the namespace from their flag only.
if temporal operator namespace describe --namespace "$TEMPORAL_NAMESPACE" >/dev/null 2>&1; then
  temporal operator namespace update --namespace "$TEMPORAL_NAMESPACE" --retention 720h
else
  temporal operator namespace create --namespace "$TEMPORAL_NAMESPACE" --retention 720h
fi

# A namespace is known to every part of the server only some seconds after it was made. What exists already is no error.
for attribute in $attributes; do
  attempt=0
  until temporal operator search-attribute create --namespace "$TEMPORAL_NAMESPACE" \
    --name "${attribute%%=*}" --type "${attribute#*=}"; do
    attempt=$((attempt + 1))
    if [ "$attempt" -ge 30 ]; then
      echo "search attribute $attribute could not be added to namespace $TEMPORAL_NAMESPACE" >&2
      exit 1
    fi
    sleep 1
  done
done
echo "namespace $TEMPORAL_NAMESPACE is ready"
