import { toHex } from '../../lib/contract/store-layout.js'
import type { StoredFile } from './file-store.js'

/**
 * The SHA-256 of a file in 64 hexadecimal digits, each segment as soon as it is there: one by the browser's own code, which
 * is several times as fast; more without holding them all in memory.
 */
export async function hashSegments(
  { read, readSegment }: Pick<StoredFile, 'read' | 'readSegment'>,
  segments: readonly Promise<void>[],
  onLastSegment = () => {},
): Promise<string> {
  if (segments.length === 1) {
    await segments[0]
    onLastSegment()
    return toHex(await crypto.subtle.digest('SHA-256', await (await read()).arrayBuffer()))
  }
  const hash = await createSha256()
  for (const [index, segment] of segments.entries()) {
    await segment
    if (index === segments.length - 1) onLastSegment()
    for await (const piece of readSegment(index)) hash.add(piece)
  }
  return hash.finish()
}

/** Hashes what comes in order. */
interface Sha256 {
  add(bytes: Uint8Array): void
  /** 64 hexadecimal digits. */
  finish(): string
}

async function createSha256(): Promise<Sha256> {
  const { createSHA256 } = await import('hash-wasm')
  const hasher = await createSHA256()
  hasher.init()
  return {
    add: (bytes) => void hasher.update(bytes),
    finish: () => hasher.digest('hex'),
  }
}
