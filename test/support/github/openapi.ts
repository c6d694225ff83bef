import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { Ajv, type ValidateFunction } from 'ajv';
import addFormats from 'ajv-formats';
import { isJsonObject, type Json, type JsonObject, referencesOf, toJsonSchema } from './json-schema.ts';

/**
 * GitHub's own description of its REST API (package `@octokit/openapi`), and whether requests and answers are within it. The form with
 * references is read, which is a fifth of the one without; schemas are compiled when an operation is first used.
 */
export interface Description {
  /** @param path decoded only where a parameter is: `/repos/a/b/git/ref/heads%2Fmain` */
  find(method: string, path: string): Operation | undefined;
  /** What is wrong with the request; empty where it is as described. A body or query member that GitHub does not know is wrong too. */
  problemsOfRequest(operation: Operation, query: URLSearchParams, body: unknown): string[];
  /** What is wrong with the answer; empty where it is as described. */
  problemsOfAnswer(operation: Operation, status: number, body: unknown): string[];
}

export interface Operation {
  /** `pulls/create` */
  readonly id: string;
  readonly description: JsonObject;
  /** Path parameters, decoded. */
  readonly parameters: Readonly<Record<string, string>>;
}

interface Route {
  readonly pattern: RegExp;
  readonly names: readonly string[];
  readonly literals: number;
  readonly description: JsonObject;
}

/** Statuses that any operation may answer, though the description does not list them for each. */
const anywhere = new Set([401, 403, 404, 429, 500, 502, 503, 504]);

let loading: Promise<Description> | undefined;

/** Read once per process: it is 13 MB. */
export function gitHubDescription(): Promise<Description> {
  loading ??= load();
  return loading;
}

async function load(): Promise<Description> {
  const file = createRequire(import.meta.url).resolve('@octokit/openapi/generated/api.github.com.json');
  return new OpenApiDescription(JSON.parse(await readFile(file, 'utf8')) as JsonObject);
}

class OpenApiDescription implements Description {
  readonly #document: JsonObject;
  readonly #ajv = new Ajv({ strict: false, allErrors: true });
  /** Query parameters arrive as text, whatever their type. */
  readonly #queryAjv = new Ajv({ strict: false, allErrors: true, coerceTypes: 'array' });
  readonly #compiled = new Map<string, ValidateFunction>();
  readonly #routes = new Map<string, Route[]>();

  constructor(document: JsonObject) {
    this.#document = document;
    // `repo.nwo` (owner/name) is GitHub's own format; the emulator itself says whether there is such a repository.
    for (const ajv of [this.#ajv, this.#queryAjv]) addFormats.default(ajv).addFormat('repo.nwo', /^[^/]+\/[^/]+$/);
    for (const [template, item] of Object.entries(object(document.paths))) {
      // Octokit's addition for its older clients; GitHub itself describes only `{basehead}`, which every such path is too.
      if (template.endsWith('/compare/{base}...{head}')) continue;
      for (const [method, description] of Object.entries(object(item))) {
        const routes = this.#routes.get(method.toUpperCase()) ?? [];
        routes.push(routeOf(template, this.#resolved(object(description))));
        this.#routes.set(method.toUpperCase(), routes);
      }
    }
  }

  find(method: string, path: string): Operation | undefined {
    let best: { readonly route: Route; readonly values: readonly string[] } | undefined;
    for (const route of this.#routes.get(method) ?? []) {
      const match = route.pattern.exec(path);
      if (match && route.literals > (best?.route.literals ?? -1)) best = { route, values: match.slice(1) };
    }
    if (best === undefined) return undefined;
    const { route, values } = best;
    const parameters = Object.fromEntries(route.names.map((name, index) => [name, decodeURIComponent(values[index] ?? '')]));
    return { id: String(route.description.operationId), description: route.description, parameters };
  }

  problemsOfRequest(operation: Operation, query: URLSearchParams, body: unknown): string[] {
    const parameters = array(operation.description.parameters).map(object);
    const allowed = parameters.filter((parameter) => parameter.in === 'query');
    const querySchema = {
      type: 'object',
      properties: Object.fromEntries(allowed.map(({ name, schema }) => [String(name), toJsonSchema(schema ?? {})])),
      required: allowed.filter(({ required }) => required === true).map(({ name }) => String(name)),
      additionalProperties: false,
    };
    const validateQuery = this.#validator(`${operation.id} query`, querySchema, this.#queryAjv);
    const problems = this.#problems(validateQuery, Object.fromEntries(query), 'query');
    return [...problems, ...this.#problemsOfBody(operation, body)];
  }

  #problemsOfBody(operation: Operation, body: unknown): string[] {
    const schema = object(object(object(operation.description.requestBody).content)['application/json']).schema;
    if (schema === undefined) return body === undefined ? [] : ['body: none is described for this operation'];
    if (body === undefined) {
      return object(operation.description.requestBody).required === true ? ['body: required, and there was none'] : [];
    }
    const problems = this.#problems(this.#validator(`${operation.id} body`, toJsonSchema(schema)), body, 'body');
    const known = isJsonObject(schema) && isJsonObject(schema.properties) ? schema.properties : undefined;
    const unknown = known && isJsonObject(body) ? Object.keys(body).filter((name) => !(name in known)) : [];
    return [...problems, ...unknown.map((name) => `body: GitHub knows no member '${name}' here`)];
  }

  problemsOfAnswer(operation: Operation, status: number, body: unknown): string[] {
    const described = object(operation.description.responses)[String(status)];
    if (described === undefined) {
      if (!anywhere.has(status)) return [`status: ${status} is not described for ${operation.id}`];
      return this.#problems(this.#validator('basic-error', { $ref: 'github:basic-error' }), body, 'answer');
    }
    const media = Object.values(object(this.#resolved(object(described)).content)).map(object);
    const schema = media[0]?.schema;
    if (schema === undefined) return body === undefined || status >= 400 ? [] : ['answer: has a body, and none is described'];
    return this.#problems(this.#validator(`${operation.id} ${status}`, toJsonSchema(schema)), body, 'answer');
  }

  /** A description with the references to shared parameters and responses (one level) followed. */
  #resolved(description: JsonObject): JsonObject {
    const reference = description.$ref;
    if (typeof reference === 'string') {
      return reference
        .split('/')
        .slice(1)
        .reduce<JsonObject>((at, name) => object(at[name]), this.#document);
    }
    const parameters = description.parameters;
    if (!Array.isArray(parameters)) return description;
    return { ...description, parameters: parameters.map((parameter) => this.#resolved(object(parameter))) };
  }

  #validator(name: string, schema: Json, ajv: Ajv = this.#ajv): ValidateFunction {
    const known = this.#compiled.get(name);
    if (known) return known;
    this.#addComponents(schema, ajv);
    const compiled = ajv.compile(schema as object);
    this.#compiled.set(name, compiled);
    return compiled;
  }

  #addComponents(schema: Json, ajv: Ajv): void {
    const components = object(object(this.#document.components).schemas);
    const waiting = referencesOf(schema);
    for (let name = waiting.pop(); name !== undefined; name = waiting.pop()) {
      if (`github:${name}` in ajv.schemas) continue;
      const component = toJsonSchema(components[name] ?? false);
      ajv.addSchema(component as object, `github:${name}`);
      waiting.push(...referencesOf(component));
    }
  }

  #problems(validate: ValidateFunction, value: unknown, what: string): string[] {
    if (validate(value)) return [];
    return (validate.errors ?? []).slice(0, 5).map((error) => `${what}${error.instancePath} ${error.message ?? error.keyword}`);
  }
}

/** `/repos/{owner}/{repo}/git/ref/{ref}`: a parameter is one segment, unless the description says that it may be several. */
function routeOf(template: string, description: JsonObject): Route {
  const several = new Set(
    array(description.parameters)
      .map(object)
      .filter((parameter) => parameter['x-multi-segment'] === true)
      .map((parameter) => String(parameter.name)),
  );
  const names: string[] = [];
  const pattern = template
    .split(/(\{[^}]+\})/)
    .map((part) => {
      if (!part.startsWith('{')) return part.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&');
      const name = part.slice(1, -1);
      names.push(name);
      return several.has(name) ? '(.+)' : '([^/]+)';
    })
    .join('');
  return { pattern: new RegExp(`^${pattern}$`), names, literals: template.replaceAll(/\{[^}]+\}/g, '').length, description };
}

function object(value: Json | undefined): JsonObject {
  return isJsonObject(value) ? value : {};
}

function array(value: Json | undefined): readonly Json[] {
  return Array.isArray(value) ? value : [];
}
