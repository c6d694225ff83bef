import type { z } from 'zod';
import type { SecretCheck } from '../settings/scalars.ts';
import { acrSource } from './acr/index.ts';
import { aliyunSource } from './aliyun/index.ts';
import { cloudeventsSource } from './cloudevents/index.ts';
import { distributionSource } from './distribution/index.ts';
import { dockerhubSource } from './dockerhub/index.ts';
import { ecrSource } from './ecr/index.ts';
import { eventSource } from './event/index.ts';
import { garSource } from './gar/index.ts';
import { genericSource } from './generic/index.ts';
import { giteaSource } from './gitea/index.ts';
import { githubSource } from './github/index.ts';
import { harborSource } from './harbor/index.ts';
import { jfrogSource } from './jfrog/index.ts';
import type { Receiver } from './kit/receiver.ts';
import type { SourceContext } from './kit/source.ts';
import { nexusSource } from './nexus/index.ts';
import { quaySource } from './quay/index.ts';

/** Every source of pushes. To add one: its file, and a line here. */
const sources = [
  githubSource,
  distributionSource,
  quaySource,
  dockerhubSource,
  acrSource,
  aliyunSource,
  harborSource,
  ecrSource,
  garSource,
  jfrogSource,
  nexusSource,
  giteaSource,
  cloudeventsSource,
  eventSource,
  genericSource,
] as const;

type AnySource = (typeof sources)[number];
type SettingsSchemas = { readonly [S in AnySource as S['name']]: z.ZodExactOptional<ReturnType<S['settings']>> };

/** What the configuration says about each source. A source that is absent has no path. */
export type ReceiverSettings = { readonly [S in AnySource as S['name']]?: z.output<ReturnType<S['settings']>> };

/** The keys of the configuration's `receivers`. */
export function receiverSettings(check: SecretCheck): SettingsSchemas {
  const schemas = sources.map((source) => [source.name, source.settings(check).exactOptional()]);
  return Object.fromEntries(schemas) as SettingsSchemas;
}

/**
 * The receivers that the configuration asks for.
 * @throws Error where one of them has no secret
 */
export function createReceivers(settings: ReceiverSettings, context: SourceContext): readonly Receiver[] {
  return sources.flatMap((source) => source.open(settings, context));
}
