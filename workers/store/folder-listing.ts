/** A listing's description of a file. */
export interface ListedFile {
  /** Undefined if the listing contains only paths. */
  readonly sizeBytes: number | undefined
  /** Identifies this version of the file. Undefined if the listing has no such ids. */
  readonly objectId: string | undefined
  /** A hub lists a hash only for large files; undefined for others. */
  readonly sha256: string | undefined
}

/** The files of a folder, by path. */
export type FolderListing = ReadonlyMap<string, ListedFile>

export type ListingAnswer =
  | { readonly kind: 'listed'; readonly files: FolderListing }
  /** The server answered, but sent no valid list, for example because the model does not exist or is private. */
  | { readonly kind: 'refused' }
  /** The server could not be reached. */
  | { readonly kind: 'unreachable' }

/** A hub sends a thousand files a page. */
const maxPages = 100

/**
 * Fetches the list of a folder's files: on a hub (huggingface_hub, `list_repo_tree`), with sizes, and with the SHA-256 of
 * large files in `lfs.oid`. A long list has several pages; each page names the next one in its `Link` header (RFC 8288). A
 * list can also be an array of paths.
 */
export async function fetchListing(
  url: string,
  headers: Readonly<Record<string, string>>,
  signal: AbortSignal,
): Promise<ListingAnswer> {
  const files = new Map<string, ListedFile>()
  try {
    let pageUrl: string | undefined = url
    for (let page = 0; pageUrl !== undefined; page += 1) {
      const response: Response = await fetch(pageUrl, { headers: { ...headers }, signal, cache: 'no-store' })
      const next: string | undefined = findNextPage(response.headers.get('link'), pageUrl)
      const entries = response.ok ? readPage(await response.json().catch(() => undefined)) : undefined
      // Without a page, files that exist would count as missing. The headers can contain a token for this origin only.
      const isUsable = entries && page < maxPages && (next === undefined || isSameOrigin(next, url))
      if (!isUsable) return { kind: 'refused' }
      for (const [path, file] of entries) files.set(path, file)
      pageUrl = next
    }
    return { kind: 'listed', files }
  } catch {
    return { kind: 'unreachable' }
  }
}

/** Returns the address of the next page from a `Link` header: `<https://…?cursor=…>; rel="next"`. */
function findNextPage(link: string | null, base: string): string | undefined {
  for (const [, target, parameters] of (link ?? '').matchAll(/<([^>]*)>([^,]*)/g)) {
    if (/;\s*rel="?next"?\s*(;|$)/i.test(parameters!) && URL.canParse(target!, base))
      return new URL(target!, base).href
  }
  return undefined
}

function isSameOrigin(a: string, b: string): boolean {
  return new URL(a).origin === new URL(b).origin
}

interface TreeEntry {
  readonly type?: 'file' | 'directory'
  readonly path: string
  readonly size?: number
  readonly oid?: string
  readonly lfs?: { readonly oid: string }
}

function readPage(tree: unknown): readonly (readonly [string, ListedFile])[] | undefined {
  if (!Array.isArray(tree)) return undefined
  const entries = tree.map((entry: unknown) => (typeof entry === 'string' ? { path: entry } : entry))
  if (!entries.every(isEntry)) return undefined
  return entries
    .filter(({ type = 'file' }) => type === 'file')
    .map(({ path, size, oid, lfs }) => [
      path.replace(/^\.\//, ''),
      { sizeBytes: size, objectId: oid, sha256: readSha256(lfs?.oid) },
    ])
}

function isEntry(value: unknown): value is TreeEntry {
  const entry = value as Partial<TreeEntry> | null
  return (
    typeof entry?.path === 'string' &&
    (entry.oid === undefined || typeof entry.oid === 'string') &&
    (entry.size === undefined || Number.isSafeInteger(entry.size))
  )
}

function readSha256(oid: unknown): string | undefined {
  return typeof oid === 'string' && /^[0-9a-f]{64}$/.test(oid) ? oid : undefined
}

/** Finds a file in a listing. The path of a file that a URL names is encoded, the paths of a listing are not. */
export function findListed(listed: FolderListing, path: string): ListedFile | undefined {
  const found = listed.get(path)
  if (found || !path.includes('%')) return found
  try {
    return listed.get(decodeURIComponent(path))
  } catch {
    return undefined
  }
}
