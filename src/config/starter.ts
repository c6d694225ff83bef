/** The file that `npm start` writes where there is none: it loads as it is, follows nothing yet, and shows what to uncomment. */
export function starterConfiguration(): string {
  return starter;
}

const starter = `# What Landfall follows, and what happens to a push. Check it with: npx landfall config check
# Every key, with descriptions: npx landfall config schema

# Secrets are never written here: env:NAME or file:PATH stands for them (with ? at the end where one may be missing).

listen:
  webhooks: 0.0.0.0:8080        # registries and CI report pushes here; to be exposed
  operators: 127.0.0.1:8081     # metrics and operators' pages

# Who may report pushes. Uncomment what you use; everything else stays closed.
# receivers:
#   github: { secrets: [env:WEBHOOK_SECRET] }           # POST /webhook/image-published
#   distribution: { token: env:REGISTRY_HOOK_TOKEN }    # POST /webhook/distribution

# Credentials of registries; without them Docker's own config.json is used.
# registries:
#   ghcr.io: { username: env:GHCR_USER, password: env:GHCR_TOKEN }
#   localhost:5001: { plainHttp: true }

# Needed where a deployment repository is named as owner/name. Plain git (a URL or a path) needs nothing here.
# forge:
#   github: { token: env:GITHUB_TOKEN }

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
services: []
`;
