import type { IncomingHttpHeaders } from 'node:http';
import type { z } from 'zod';
import type { RequestOutcome } from '../../domain/audit.ts';
import type { Environment } from '../../domain/environment.ts';
import type { ImagePush } from '../../domain/image-push.ts';
import type { Log } from '../../domain/log.ts';
import type { Authenticate } from '../../http/authentication.ts';
import type { ExpectedMediaType } from '../../http/body.ts';
import type { AsksForCertificates } from '../../http/client-trust.ts';
import type { Path } from '../../settings/problem.ts';
import type { SecretCheck } from '../../settings/scalars.ts';
import type { SecretResolver } from '../../settings/secrets.ts';
import type { AllowedImages } from './allowed-images.ts';
import { type ReadSecrets, readSecrets } from './settings.ts';

/** One source of pushes: how it is configured, and what receives it. */
export interface Source<Name extends string, Schema extends z.ZodType> {
  /** Its key in the configuration's `receivers`. */
  readonly name: Name;
  /** What a user may say of it. The description begins with the path. */
  settings(check: SecretCheck): Schema;
  /** Settings in one line, for the commented starter file. */
  readonly example?: string;
  fromEnvironment?(env: Environment): FromEnvironment<z.output<Schema>>;
  /** The path of the setting that asks for client certificates, which only a handshake or a proxy can bring; undefined if none does. */
  clientCertificateAt?(settings: z.output<Schema>): Path | undefined;
  dropIn?(env: Environment): DropIn | undefined;
  notes?(settings: z.output<Schema>): readonly SettingsNote[];
  /** What its receivers may tell of, each with where its settings are below the source's own. Absent: any image. */
  allowedImages?(settings: z.output<Schema>): readonly ReceiverImages[];
  /** Webhooks of GitHub repositories and organizations that come to this path: GitHub is asked to send their failed deliveries again. */
  readonly gitHubWebhooks?: { readonly path: string; readonly events: readonly string[] };
  /** The receivers that the configuration asks for; none if it does not name this source. @throws Error if a secret is missing */
  open(settings: { readonly [Key in Name]?: z.output<Schema> | undefined }, context: SourceContext): readonly Receiver[];
}

/** Any of the sources; only its own methods know the type of its settings. */
export type AnySource = Source<string, z.ZodType>;

/** What is right and worth knowing, for `landfall config check`. */
export interface SettingsNote {
  readonly path: Path;
  readonly message: string;
}

export interface ReceiverImages {
  readonly path: Path;
  readonly allowed: AllowedImages;
}

/** Settings that the environment gives if the file says nothing; `problem`: it says only half of what is needed. */
export type FromEnvironment<Settings> = { readonly settings: Settings } | { readonly problem: string } | undefined;

/** A whole configuration that the environment stands for, if there is no file: for programs in whose place Landfall can be started. */
export interface DropIn {
  /** As in `landfall.yaml`. */
  readonly text: string;
  /** What Landfall does then, for people: a sentence. */
  readonly serves: string;
  /** What of the environment asks for it: `GH_TOKEN and a certificate`. */
  readonly because: string;
  /** Without a Kubernetes that can be reached it would be for nothing. */
  readonly needsCluster?: true;
  /** What whoever starts it should know: sentences. */
  readonly warning?: string;
}

/** What receivers use of the process that they run in. */
export interface SourceContext {
  /** Turns a reference into its secret, at each call: its file may have been given a new one meanwhile. */
  readonly secrets: SecretResolver;
  /** What relative paths of the configuration are relative to. */
  readonly directory: string;
  readonly log: Log;
  /** Milliseconds since 1970; default: the clock. */
  readonly now?: () => number;
}

/** Authenticates one source's requests and reads the pushed images in them. It knows nothing of services, steps or workflows. */
export interface Receiver extends ExpectedMediaType, AsksForCertificates {
  /** Name in audit log, metrics and image pushes. */
  readonly source: string;
  /** Where the source posts to. */
  readonly path: string;
  /** What it may tell of; absent: any image. */
  readonly allowedImages?: AllowedImages;
  /** `PATH/SECRET` is taken too: for sources that can send no header. */
  readonly secretInPath?: boolean;
  /** The source may name only one of several tags that were pushed together, so the others have to be looked up. */
  readonly namesOneOfSeveralTags?: boolean;
  /** `WWW-Authenticate` of the answer to a request that is not authentic. */
  readonly challenge: string;
  /** What an authentic request carries, and where to set that up: a sentence or two for the 401. */
  readonly authenticationAdvice: string;
  readonly authenticate: Authenticate;
  /** Headers of the source that hold no secret, in lower case: the log of requests (level debug) shows them. */
  readonly shownHeaders?: readonly string[];
  /** The log's words for a request that is not authentic; default: `a request was refused: it is not authentic`. */
  readonly refusedInLog?: string;
  /** Status codes that senders of this source expect in place of ours. */
  readonly statuses?: Partial<Readonly<Record<RequestOutcome, number>>>;

  /** @param request an authentic one; `body` is JSON of any shape @throws Problem 400 if it is not what the source sends */
  parse(request: AuthenticRequest): ParsedRequest;
}

export interface AuthenticRequest {
  readonly headers: IncomingHttpHeaders;
  readonly query: URLSearchParams;
  readonly body: unknown;
}

/** What a source says of one push. Without a tag, the registry has to be asked for every followed tag of the repository. */
export type PushedImage = Pick<
  ImagePush,
  'repository' | 'digest' | 'commit' | 'sourceRepository' | 'actor' | 'buildId' | 'proven'
> &
  /** `deliveryId`: the event's own, in a request of several events. */
  Partial<Pick<ImagePush, 'tag' | 'deliveryId'>>;

export interface ParsedRequest {
  /** The source's name of the event, as far as it is known to be harmless in a log. */
  readonly event: string;
  readonly action?: string;
  readonly deliveryId: string;
  /** The body is signed and no two pushes have the same one, so it tells deliveries apart: the id beside it is in a header that nobody signed. */
  readonly isOnlyOnce?: true;
  readonly images: readonly PushedImage[];
  /** Somebody wants them rolled out whatever the last verdict was. Only a run by hand may ask for that. */
  readonly again?: true;
  /** Commits that were pushed, if the event is about that. */
  readonly commits?: CommitPush;
  /** What has moved at a forge, if the event is about that. */
  readonly progress?: ForgeProgress;
  /** Why there is neither an image nor progress; absent if there is. */
  readonly ignored?: string;
  /** Events that every push and pull of an image makes by the dozen, Landfall's own pulls too. They are counted, and where there is nothing else, that is all. */
  readonly routine?: Readonly<Partial<Record<RoutineEvent, number>>>;
}

/** Commits were pushed to a branch, of which images may be built. Which ones the branch has is for its repository to say. */
export interface CommitPush {
  /** All that the sender calls it: `owner/name`, and the addresses by which git fetches it. */
  readonly repositories: readonly string[];
  readonly branch: string;
  /** What the branch had before; absent if it is new. */
  readonly before?: string;
  /** What it has now, as the sender says. */
  readonly after?: string;
  /** Who pushed, as the sender names them. */
  readonly actor?: string;
}
export type RoutineEvent = 'pull' | 'mount' | 'blob';

/** Why nothing comes of a request in which there is nothing else. */
export const onlyRoutine = 'pulls, mounts and layers, which start nothing';

/** Something has moved in a deployment repository that a rollout may wait for. Only a hint: the rollout asks the forge itself. */
export interface ForgeProgress {
  /** For people: `check_suite of team/deployment completed`. */
  readonly what: string;
  /** `owner/name`, as the forge writes it. */
  readonly repository: string;
  /** Of Landfall's branches, those that it is about. */
  readonly branches: readonly string[];
  /** The workflow id that Landfall itself put into the deployment that it is about. */
  readonly rollout?: string;
}

/** The receivers that the configuration asks for. @throws Error if one of them has no secret */
export function createReceivers(
  sources: readonly AnySource[],
  settings: Readonly<Record<string, unknown>>,
  context: SourceContext,
): readonly Receiver[] {
  return sources.flatMap((source) => source.open(settings, context));
}

type ReceiverDefaults = Pick<Receiver, 'source' | 'path' | 'mediaTypes'>;

/** What a source need not say is its name, `/webhook/NAME`, and that it takes JSON. */
export type OwnReceiver = Omit<Receiver, keyof ReceiverDefaults> & Partial<ReceiverDefaults>;

export interface OwnContext extends SourceContext {
  /** The secrets of a setting of the source. @throws Error if there is none, or an empty one */
  read(references: readonly string[], setting?: string): ReadSecrets;
}

export interface SourceDefinition<Name extends string, Schema extends z.ZodType> extends Omit<Source<Name, Schema>, 'open'> {
  create(settings: z.output<Schema>, context: OwnContext): readonly OwnReceiver[];
}

export function defineSource<Name extends string, Schema extends z.ZodType>(
  definition: SourceDefinition<Name, Schema>,
): Source<Name, Schema> {
  const { create, ...described } = definition;
  const { name } = definition;
  const defaults: ReceiverDefaults = { source: name, path: `/webhook/${name}`, mediaTypes: ['application/json'] };
  return {
    ...described,
    open: (all, context) => {
      const own = all[name];
      if (own === undefined) return [];
      const read = (references: readonly string[], setting = 'secrets') =>
        readSecrets(references, context.secrets, `receivers.${name}.${setting}`);
      const allowed = definition.allowedImages?.(own) ?? [];
      return create(own, { ...context, read }).map((receiver) => {
        const whole = { ...defaults, ...receiver };
        const its = allowed.find(({ path }) => [name, ...path].join('/') === whole.source);
        return its === undefined ? whole : { ...whole, allowedImages: its.allowed };
      });
    },
  };
}
