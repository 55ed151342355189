import { toHex } from '../../lib/contract/store-layout.js'

/** Bytes that are hashed at a time: about 10 ms. */
const blockBytes = 2 ** 20

/** Hashes what comes in order, for files that are larger than one would hold in memory. */
export interface Sha256 {
  /** Lets other work of the worker run in between. */
  add(bytes: Blob): Promise<void>
  /** 64 hexadecimal digits. */
  finish(): string
}

export async function createSha256(): Promise<Sha256> {
  const { createSHA256 } = await import('hash-wasm')
  const hasher = await createSHA256()
  hasher.init()
  return {
    async add(bytes) {
      for (let offset = 0; offset < bytes.size; offset += blockBytes) {
        hasher.update(new Uint8Array(await bytes.slice(offset, offset + blockBytes).arrayBuffer()))
      }
    },
    finish: () => hasher.digest('hex'),
  }
}

/** By the browser's own code, which is several times as fast. 64 hexadecimal digits. */
export async function hashWhole(bytes: Blob): Promise<string> {
  return toHex(await crypto.subtle.digest('SHA-256', await bytes.arrayBuffer()))
}
