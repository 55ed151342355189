import type { KeptPrefix } from '../../lib/contract/worker-api.js'
import type { PrefixContent } from '../../lib/contract/store-layout.js'
import { listPrefixes, writePrefix, type PrefixFile } from '../store/prefix-files.js'
import { countCommonPrefix, worthParkingTokens } from './conversations.js'
import type { Decoder } from './decoder.js'
import { measureStates, type StateSchema } from './state-schema.js'

/** The states of prompts in the model store, which outlive the decoder. They only save time: without them, prompts are computed. */
export interface KeptPrefixes {
  /**
   * Restores the kept prefix that saves the most tokens of a prompt, if it saves more than the conversations in memory. Removes
   * kept prefixes that are damaged.
   * @param ids the prompt, marked by `markTokens`
   */
  restore(decoder: Decoder, ids: readonly number[], signal: AbortSignal): Promise<void>
  /**
   * Keeps the states of a prompt that was just computed.
   * @throws the reason of `signal`
   */
  keep(decoder: Decoder, ids: readonly number[], signal: AbortSignal): Promise<KeptPrefix>
}

/** The model whose prefixes are kept. */
export interface PrefixOwner {
  readonly folderUrl: string
  readonly modelUrl: string
  /** The version of each file that the graph was read from, by path; undefined if a version is not known. */
  readonly files: Readonly<Record<string, string>> | undefined
  /** What the states depend on, other than the model's files and `Decoder.stateFormat`. */
  readonly conditions: readonly unknown[]
  readonly budgetBytes: number
}

const noVersion =
  'The version of the model is not known: it is local or not in the store, or its server sends no ETag, no Last-Modified and no hash. Set "download.sha256".'

/** Changes if the layout of the kept bytes changes. */
const formatVersion = 1

export function openKeptPrefixes(owner: PrefixOwner): KeptPrefixes {
  const { folderUrl, files, budgetBytes } = owner
  let known: Promise<readonly PrefixFile[]> | undefined

  const bind = ({ stateFormat }: Decoder) => JSON.stringify([formatVersion, stateFormat, owner.conditions])

  /** Lists the prefixes that this model can use, and removes those of files that have changed since. */
  async function list(decoder: Decoder): Promise<readonly PrefixFile[]> {
    if (!files) return []
    const usable: PrefixFile[] = []
    for (const prefix of await listPrefixes(folderUrl)) {
      const { content } = prefix
      if (Object.entries(content.files).some(([path, version]) => (files[path] ?? version) !== version))
        await prefix.remove()
      else if (content.binding === bind(decoder) && isSame(content.files, files)) usable.push(prefix)
    }
    return usable
  }

  async function forget(prefix: PrefixFile): Promise<void> {
    known = known?.then((prefixes) => prefixes.filter((each) => each !== prefix))
    await prefix.remove()
  }

  /** Returns the kept prefix that saves the most tokens, and at least `worthParkingTokens` more than `inMemory`. */
  function findBest(
    prefixes: readonly PrefixFile[],
    decoder: Decoder,
    ids: readonly number[],
  ): PrefixFile | undefined {
    let most = decoder.countReusable(ids) + worthParkingTokens
    let best: PrefixFile | undefined
    for (const prefix of prefixes) {
      const saved = countSaved(decoder, prefix.content.ids, ids)
      if (saved >= most) [best, most] = [prefix, saved]
    }
    return best
  }

  async function restore(decoder: Decoder, ids: readonly number[], signal: AbortSignal): Promise<void> {
    for (;;) {
      const best = findBest(await (known ??= list(decoder)), decoder, ids)
      if (!best) return
      const bytes = await best.read()
      signal.throwIfAborted()
      const sizes = measureStates(decoder.stateSchema, best.content.ids.length)
      const isWhole = bytes?.byteLength === sizes.reduce((sum, size) => sum + size, 0)
      if (bytes && isWhole)
        return decoder.restoreStates(best.content.ids, split(bytes, sizes), ids.length + 1)
      await forget(best)
    }
  }

  /** Removes the prefixes that the new one continues, unless they are much shorter, as a system prompt is. */
  async function removeContinued(prefixes: readonly PrefixFile[], ids: readonly number[]): Promise<void> {
    for (const prefix of prefixes) {
      const old = prefix.content.ids
      const isOther = old.length === ids.length && countCommonPrefix(old, ids) === ids.length
      const rest = old.length - countCommonPrefix(old, ids)
      if (!isOther && rest < worthParkingTokens && old.length > ids.length / 2) await prefix.remove()
    }
  }

  return {
    restore,
    async keep(decoder, ids, signal) {
      const copy = decoder.copyStates(ids)
      if (copy.ids.length < worthParkingTokens)
        return { isKept: false, reason: `It has fewer than ${worthParkingTokens} tokens to keep.` }
      if (!files) return { isKept: false, reason: noVersion }
      const content: PrefixContent = { binding: bind(decoder), files, ids: copy.ids }
      const sizeBytes = copy.sizes.reduce((sum, size) => sum + size, 0)
      const reason = await writePrefix(owner, { content, sizeBytes, read: copy.read }, budgetBytes, signal)
      if (reason !== undefined) return { isKept: false, reason }
      await removeContinued(await list(decoder), copy.ids)
      known = list(decoder)
      return { isKept: true, sizeBytes }
    },
  }
}

/** Returns how many tokens of a prompt a kept prefix saves. States of fixed size cannot be truncated. */
function countSaved(
  { stateSchema: { fixedStates } }: { readonly stateSchema: Pick<StateSchema, 'fixedStates'> },
  kept: readonly number[],
  ids: readonly number[],
): number {
  const common = countCommonPrefix(kept, ids)
  return fixedStates.length === 0 || common === kept.length ? common : 0
}

function isSame(one: Readonly<Record<string, string>>, other: Readonly<Record<string, string>>): boolean {
  return JSON.stringify(Object.entries(one)) === JSON.stringify(Object.entries(other))
}

function split(bytes: ArrayBuffer, sizes: readonly number[]): Uint8Array<ArrayBuffer>[] {
  let end = 0
  return sizes.map((size) => {
    const start = end
    end += size
    const piece = new Uint8Array(bytes, start, size)
    // A view of 32-bit floats must start at a multiple of four.
    return start % 4 === 0 ? piece : piece.slice()
  })
}
