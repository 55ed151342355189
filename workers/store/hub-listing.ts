/** A hub's description of a file. */
interface ListedFile {
  readonly sizeBytes: number
  /** Identifies this version of the file. */
  readonly objectId: string
  /** The hub lists a hash only for large files; undefined for others. */
  readonly sha256: string | undefined
}

/** The files of a folder on a hub, by path. */
export type HubListing = ReadonlyMap<string, ListedFile>

/**
 * Fetches the list of a folder's files: one request returns all paths and sizes, and the SHA-256 of large files
 * (huggingface_hub, `list_repo_tree`; the SHA-256 is in the field `lfs.oid`).
 * @returns undefined if the hub sends no valid list; files are then requested one by one
 */
export async function fetchHubListing(
  url: string,
  headers: Readonly<Record<string, string>>,
  signal: AbortSignal,
): Promise<HubListing | undefined> {
  try {
    const response = await fetch(url, { headers: { ...headers }, signal, cache: 'no-store' })
    return response.ok ? readListing(await response.json()) : undefined
  } catch {
    return undefined
  }
}

interface TreeEntry {
  readonly type: 'file' | 'directory'
  readonly path: string
  readonly size: number
  readonly oid: string
  readonly lfs?: { readonly oid: string }
}

function readListing(tree: unknown): HubListing | undefined {
  if (!Array.isArray(tree) || !tree.every(isEntry)) return undefined
  return new Map(
    tree
      .filter(({ type }) => type === 'file')
      .map(({ path, size, oid, lfs }) => [
        path,
        { sizeBytes: size, objectId: oid, sha256: readSha256(lfs?.oid) },
      ]),
  )
}

function isEntry(value: unknown): value is TreeEntry {
  const entry = value as Partial<TreeEntry> | null
  return (
    typeof entry?.path === 'string' &&
    typeof entry.oid === 'string' &&
    Number.isSafeInteger(entry.size ?? NaN)
  )
}

function readSha256(oid: unknown): string | undefined {
  return typeof oid === 'string' && /^[0-9a-f]{64}$/.test(oid) ? oid : undefined
}
