import type { z } from 'zod';
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
import { nexusSource } from './nexus/index.ts';
import { quaySource } from './quay/index.ts';

/** Every source of pushes. To add one: its folder, and a line here. */
export const sources = [
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

/** What the configuration says about each source. A source that is absent has no path. */
export type ReceiverSettings = { readonly [S in (typeof sources)[number] as S['name']]?: z.output<ReturnType<S['settings']>> };
