import { toHex } from '../../lib/contract/store-layout.js'

/** Hashes what comes in order, for files that are larger than one would hold in memory. */
export interface Sha256 {
  add(bytes: Uint8Array): void
  /** 64 hexadecimal digits. */
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

/** By the browser's own code, which is several times as fast. 64 hexadecimal digits. */
export async function hashWhole(bytes: Blob): Promise<string> {
  return toHex(await crypto.subtle.digest('SHA-256', await bytes.arrayBuffer()))
}
