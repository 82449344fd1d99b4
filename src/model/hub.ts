/**
 * The Hugging Face Hub's HTTP interface, as much as reading a repository takes: what it holds at a revision
 * (`GET /api/models/{id}/revision/{revision}?blobs=true`) and a file of it (`GET /{id}/resolve/{commit}/{path}`). Those of
 * data sets have `datasets` in place of `models`, and in front of the id.
 *
 * A revision is resolved to a commit once, and files are asked for by commit, so a branch that moves during a download
 * cannot mix two models.
 *
 * @module
 */
import { Fault } from '../faults.ts';
import { INDEX_FILE } from './checkpoint.ts';
import { modelFiles } from './files.ts';

export const HUB = 'https://huggingface.co';

/** How the Hub is reached. */
export interface HubAccess {
  readonly fetch: typeof fetch;
  readonly endpoint?: string | undefined;
  /** A user's access token; for gated and private models. */
  readonly token?: string | undefined;
  readonly signal?: AbortSignal | undefined;
}

export interface RemoteFile {
  readonly path: string;
  readonly url: string;
  readonly bytes: number;
  /** SHA-256 of the content, or for small files the name git gives it: SHA-1 of `blob {bytes}\0` and the content. */
  readonly digest: { readonly algorithm: 'sha256' | 'git'; readonly hex: string };
}

export interface RemoteModel {
  readonly commit: string;
  readonly files: readonly RemoteFile[];
}

/** Whether a text names a model of the Hub: `owner/name`. */
export const isHubId = (text: string): boolean => /^\w[\w.-]*\/\w[\w.-]*$/.test(text) && !text.includes('..');

/** An index of 1000 shards takes under 10 MB; listings take less. */
const MAX_TEXT_BYTES = 64 * 2 ** 20;

/** Answers that another attempt may change. */
const PASSING = new Set([408, 425, 429]);

/** What to do about an answer of 4xx, by the Hub's `x-error-code`. */
function remedy(code: string | null, id: string, endpoint: string, withToken: boolean): string {
  const token = withToken ? 'use a token that may read it' : 'pass a token';
  switch (code) {
    case 'GatedRepo':
      return `it is gated: accept its licence at ${endpoint}/${id} and ${token}`;
    case 'RevisionNotFound':
      return 'it has no such revision: check the revision';
    case 'EntryNotFound':
      return 'it has no such file';
    default:
      return `it does not exist, or is private or gated: check the name, accept its licence at ${endpoint}/${id} and ${token}`;
  }
}

/**
 * @param what is asked for, for messages.
 * @throws {Fault} HUB_REFUSED where asking again is pointless, DOWNLOAD_FAILED where it is not, INTERRUPTED
 */
export async function request(
  access: HubAccess,
  id: string,
  url: string,
  what: string,
  extra: Readonly<Record<string, string>> = {},
): Promise<Response> {
  // A compressed answer would make byte ranges meaningless.
  const headers: Record<string, string> = { 'accept-encoding': 'identity', ...extra };
  if (access.token !== undefined) headers['authorization'] = `Bearer ${access.token}`;
  let response: Response;
  try {
    response = await access.fetch(url, { headers, signal: access.signal ?? null });
  } catch (cause) {
    throw interruption(access, what, 'nothing answers; check the network', cause);
  }
  const { ok, status } = response;
  if (ok || status === 416) return response;
  await response.body?.cancel().catch(() => undefined);
  if (status >= 400 && status < 500 && !PASSING.has(status)) {
    const hint = remedy(response.headers.get('x-error-code'), id, access.endpoint ?? HUB, access.token !== undefined);
    throw new Fault('HUB_REFUSED', `${what} (${status}): ${hint}`);
  }
  throw new Fault('DOWNLOAD_FAILED', `${what}: the Hub answered ${status}; try again later`);
}

/** A failure of the network, unless the user asked for it. */
export function interruption({ signal }: HubAccess, what: string, why: string, cause: unknown): Fault {
  if (signal?.aborted) return new Fault('INTERRUPTED', `${what}: stopped; what has arrived is kept`, { cause });
  return new Fault('DOWNLOAD_FAILED', `${what}: ${why}`, { cause });
}

async function text(access: HubAccess, id: string, url: string, what: string): Promise<string> {
  const response = await request(access, id, url, what);
  if (Number(response.headers.get('content-length') ?? 0) > MAX_TEXT_BYTES)
    throw new Fault('DOWNLOAD_FAILED', `${what}: the answer is too long`);
  try {
    return await response.text();
  } catch (cause) {
    throw interruption(access, what, 'the answer was cut; check the network', cause);
  }
}

const COMMIT = /^[0-9a-f]{40}$/;
const SHA256 = /^[0-9a-f]{64}$/;

interface Sibling {
  readonly rfilename?: unknown;
  readonly size?: unknown;
  readonly blobId?: unknown;
  readonly lfs?: { readonly sha256?: unknown; readonly size?: unknown } | null;
}

/** Where a kind of repository is: below `/api/`, and in front of its id. */
const PLACES = { model: ['models', ''], dataset: ['datasets', 'datasets/'] } as const;

export interface Repository {
  readonly commit: string;
  /** All files, by path. */
  readonly files: ReadonlyMap<string, RemoteFile>;
  /** Text of one of them. */
  text(path: string): Promise<string>;
}

/** What a repository holds. @throws {Fault} as `request` */
export async function listRepository(
  kind: keyof typeof PLACES,
  id: string,
  revision: string,
  access: HubAccess,
): Promise<Repository> {
  const endpoint = access.endpoint ?? HUB;
  const [api, front] = PLACES[kind];
  const what = `${kind === 'model' ? 'model' : 'data set'} ${id} at ${revision}`;
  const odd = (cause?: unknown) =>
    new Fault('DOWNLOAD_FAILED', `${what}: ${endpoint} does not answer as the Hub does; check the address`, { cause });
  const listing = await text(
    access,
    front + id,
    `${endpoint}/api/${api}/${id}/revision/${encodeURIComponent(revision)}?blobs=true`,
    what,
  );
  let parsed: { sha?: unknown; siblings?: unknown } | null;
  try {
    parsed = JSON.parse(listing);
  } catch (cause) {
    throw odd(cause);
  }
  const { sha, siblings } = parsed ?? {};
  if (typeof sha !== 'string' || !COMMIT.test(sha) || !Array.isArray(siblings)) throw odd();

  const found = new Map<string, RemoteFile>();
  for (const { rfilename: path, size, blobId, lfs } of siblings as Sibling[]) {
    if (typeof path !== 'string') throw odd();
    const bytes = lfs?.size ?? size;
    const hex = lfs?.sha256 ?? blobId;
    if (typeof bytes !== 'number' || !Number.isSafeInteger(bytes) || bytes < 0) continue;
    if (typeof hex !== 'string' || !(lfs?.sha256 ? SHA256 : COMMIT).test(hex)) continue;
    found.set(path, {
      path,
      url: `${endpoint}/${front}${id}/resolve/${sha}/${path}`,
      bytes,
      digest: { algorithm: lfs?.sha256 ? 'sha256' : 'git', hex },
    });
  }
  return {
    commit: sha,
    files: found,
    text: (path) => text(access, front + id, `${endpoint}/${front}${id}/resolve/${sha}/${path}`, `${id}: ${path}`),
  };
}

/** Files of a model that Murmur reads. @throws {Fault} as `request` and `modelFiles` */
export async function listModel(id: string, revision: string, access: HubAccess): Promise<RemoteModel> {
  const { commit, files, text: read } = await listRepository('model', id, revision, access);
  const names = await modelFiles(new Set(files.keys()), () => read(INDEX_FILE), id);
  return { commit, files: names.map((name) => files.get(name)!) };
}
