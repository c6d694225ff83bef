import { Refusal } from '../../domain/failures.ts';

/** An object that the API server describes a failure with. https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/status/ */
export interface ApiStatus {
  readonly message?: string;
  readonly reason?: string;
  readonly details?: {
    readonly name?: string;
    readonly kind?: string;
    readonly causes?: readonly { readonly reason?: string; readonly message?: string; readonly field?: string }[];
    readonly retryAfterSeconds?: number;
  };
}

/** The API server said no, in a way that neither a Refusal nor a RateLimit tells. */
export class KubernetesError extends Error {
  override readonly name = 'KubernetesError';
  /** Of HTTP. */
  readonly status: number;
  readonly said: ApiStatus;

  constructor(what: string, status: number, said: ApiStatus) {
    super(`${what} was answered ${status}: ${said.message ?? said.reason ?? 'without a reason'}`);
    this.status = status;
    this.said = said;
  }
}

export function isConflict(error: unknown): error is KubernetesError {
  return error instanceof KubernetesError && error.status === 409;
}

/** The object is not as the API server wants it: that is what was written, and not the API server. */
export function isInvalid(error: unknown): error is KubernetesError {
  return error instanceof KubernetesError && (error.status === 422 || error.status === 400);
}

/** May not: `resource` and `verb` are what a Role would have to allow. */
export class Forbidden extends Refusal {
  constructor(message: string, options?: ErrorOptions) {
    super('DeployRefused', message, [], options);
  }
}

/** Fields that others own, by the manager that owns them. */
export function conflictingManagers(error: KubernetesError): { readonly manager: string; readonly field: string }[] {
  return (error.said.details?.causes ?? []).flatMap(({ reason, message = '', field = '' }) => {
    const manager = /conflict with "((?:[^"\\]|\\.)*)"/.exec(message)?.[1];
    return reason === 'FieldManagerConflict' && manager !== undefined ? [{ manager, field }] : [];
  });
}
