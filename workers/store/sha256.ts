import { toHex } from '../../lib/contract/store-layout.js'
import type { StoredFile } from './file-store.js'

/** Returns Web Crypto's hashes; undefined on insecure pages. */
const getSubtle = () => (crypto as Partial<Crypto>).subtle

/**
 * Computes the SHA-256 of a file, as 64 hexadecimal digits. A file of one segment is hashed by Web Crypto, which is several
 * times faster, except on insecure pages. The segments of a larger file are hashed as they arrive, so that memory never holds the whole file.
 */
export async function hashSegments(
  { read, readSegment }: Pick<StoredFile, 'read' | 'readSegment'>,
  segments: readonly Promise<void>[],
  onLastSegment = () => {},
): Promise<string> {
  const subtle = getSubtle()
  if (subtle && segments.length === 1) {
    await segments[0]
    onLastSegment()
    return toHex(await subtle.digest('SHA-256', await (await read()).arrayBuffer()))
  }
  const hash = await createSha256()
  for (const [index, segment] of segments.entries()) {
    await segment
    if (index === segments.length - 1) onLastSegment()
    for await (const piece of readSegment(index)) hash.add(piece)
  }
  return hash.finish()
}

const maxWholeBytes = 64 * 2 ** 20
const pieceBytes = 4 * 2 ** 20

/** Returns the SHA-256 of a user's file as 64 hexadecimal digits. A large file is read in pieces. */
export async function hashBlob(blob: Blob): Promise<string> {
  const subtle = getSubtle()
  if (subtle && blob.size <= maxWholeBytes)
    return toHex(await subtle.digest('SHA-256', await blob.arrayBuffer()))
  const hash = await createSha256()
  for (let start = 0; start < blob.size; start += pieceBytes) {
    hash.add(new Uint8Array(await blob.slice(start, start + pieceBytes).arrayBuffer()))
  }
  return hash.finish()
}

/** Returns the SHA-256 of bytes as 64 hexadecimal digits. Only for secure pages. */
export async function hashBytes(bytes: ArrayBuffer): Promise<string> {
  return toHex(await crypto.subtle.digest('SHA-256', bytes))
}

/** Hashes bytes in the order in which they are added. */
export interface Sha256 {
  add(bytes: Uint8Array): void
  /** Returns the hash as 64 hexadecimal digits. */
  finish(): string
}

export async function createSha256(): Promise<Sha256> {
  const { createSHA256 } = await import('hash-wasm')
  const hasher = await createSHA256()
  hasher.init()
  return {
    add: (bytes) => void hasher.update(bytes),
    finish: () => hasher.digest('hex'),
  }
}
