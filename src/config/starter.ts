import type { Kinds } from './kinds.ts';

/** The file that `npm start` writes if there is none: it loads as it is, follows nothing yet, and names every section. */
export function starterConfiguration({ sources }: Pick<Kinds, 'sources'>): string {
  const lines = sources.flatMap(({ name, example, settings }) => {
    const what = settings(() => undefined).description ?? '';
    return example === undefined ? [] : [`#   ${`${name}: ${example}`.padEnd(48)}  # ${what}`];
  });
  const others = sources.flatMap(({ name, example }) => (example === undefined ? [name] : []));
  const receivers = [...lines, `# and ${others.join(', ')}: docs/webhooks.md`].join('\n');
  return `# What Landfall follows, and what happens to a push. Every section is here with its usual keys; what is commented out shows an
# example, or the default. All keys, with descriptions: landfall config schema. Check the file with: landfall config check.
# (In a clone of Landfall's, landfall is: node CLONE/bin/landfall.mjs. When Landfall starts, it says how it is called.)

# Secrets are never written here: env:NAME or file:PATH stands for them (with ? at the end where one may be missing).

# publicUrl: https://landfall.example.org    # where the world reaches the webhooks, for what is printed at start

listen:
  webhooks: 0.0.0.0:8080        # registries and CI report pushes here; to be exposed
  operators: 127.0.0.1:8081     # metrics and operators' pages
  # tls: { cert: tls.pem, key: tls.key }                # where Landfall ends TLS itself, as POST /incoming needs it
  # trustedProxies: [127.0.0.1]                         # whose X-Forwarded-For is believed
  # limits: { perMinute: 1200, inWork: 128 }

# Who may report pushes. Uncomment what you use; everything else stays closed.
# receivers:
${receivers}

# Pushes that no webhook told of are looked for at the registries this often; or off.
# search: 5m

# Credentials of registries; without them Docker's own config.json is used.
# registries:
#   ghcr.io: { username: env:GHCR_USER, password: env:GHCR_TOKEN }
#   localhost:5001: { plainHttp: true }

# Needed where a deployment repository is named as owner/name. Plain git (a URL or a path) needs nothing here.
# forge:
#   github: { token: env:GITHUB_TOKEN }

# Whose decisions count: approvals, retries, rollbacks. The token's hash (sha256:...), never the token.
# operators:
#   - { name: ann, github: ann-gh, token: env:ANN_TOKEN_HASH, roles: [operate, approve] }

# How people log in at the page, besides by a token; docs/api.md has OpenID Connect.
# login:
#   session: 8h

# Images that Landfall itself builds, from commits; see docs/builds.md
# builds:
#   - { image: ghcr.io/your-team/your-app, source: { git: https://git.example.org/your-team/your-app.git } }

# What holds for every service: maps merge into each service, lists replace.
defaults:
  scan: { failOn: critical, ignoreUnfixed: true }
  smoke: { timeout: 60s, stayUp: 10s, memory: 512m }
  # change: { repository: your-team/deployment, base: main, file: docker-compose.yml }

# One entry per image, or one pattern for many. This one would propose every push of the tag latest:
# services:
#   - image: ghcr.io/your-team/your-app
#     tags: [latest]                                    # or { semver: ">=1.2 <2" }
#     smoke: { http: { port: 8080, path: /health } }
# and where it is to be deployed too, as examples/two-stages.yaml and examples/docker-host.yaml show:
#     merge: auto                                       # or manual; off (the default) ends with the proposal
#     deploy: { compose: { directory: /srv/your-app } }
#     watch: { http: { url: "http://127.0.0.1:8080/health" }, docker: true, for: 2m }
services: []

# Who is told: slack, discord, webhook, email, github. All of it: docs/configuration.md
# notify:
#   - { slack: env:SLACK_WEBHOOK_URL, events: [approval, blocked, delivered, rolled-back] }

# Where Temporal is. Without an address Landfall runs a server of its own, which keeps its state in the folder data.
# temporal: { address: "temporal.example.org:7233", namespace: landfall, apiKey: env:TEMPORAL_API_KEY, key: env:LANDFALL_KEY }

# Folders, relative to this file.
# data: data                    # Temporal's state, Trivy's database, clones of deployment repositories
# artifacts: artifacts          # scan reports and SBOMs

# trivy: { command: /usr/local/bin/trivy }              # default: trivy on PATH
# docker: { host: "unix:///var/run/docker.sock" }       # default: DOCKER_HOST, then Docker's current context
# limits: { checks: 8, builds: 2 }                      # how many run at once; default: by processors and memory
# audit: { file: data/audit.jsonl, size: 20m, keep: 5 } # one JSON line per request and decision; endpoint: URL posts it, too
# log: { level: info }
`;
}
