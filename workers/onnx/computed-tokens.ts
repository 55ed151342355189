import { chooseCheckpoints, cutToCheckpoint } from './checkpoints.js'
import {
  countCommonPrefix,
  worthParkingTokens,
  type Conversation,
  type Conversations,
} from './conversations.js'
import type { StateCopy } from './decoder.js'
import { copyCache, createFixedCache, writeCache, type FixedCache } from './fixed-cache.js'
import type { SavedStates } from './fixed-states.js'
import type { GpuModel } from './gpu-model.js'
import type { GpuSteps } from './gpu-steps.js'
import { markTokens } from './prefill-rules.js'
import { countCacheBytes, countFixedStateBytes, measureStates, type FixedState } from './state-schema.js'
import { readBuffer } from './step-readback.js'

/** The KV cache and the states of an earlier conversation. */
export interface ParkedCache {
  readonly cache: FixedCache
  readonly states: SavedStates
}

/** The tokens that are computed into the cache of a conversation on a GPU, and how they get there without being computed. */
export interface ComputedTokens {
  /** Marked by `markTokens`. */
  readonly ids: readonly number[]
  /** The lengths of the current prompt at which the conversation is parked, because its states cannot be truncated. */
  readonly checkpoints: readonly number[]
  /** The number of tokens after which the logits are, as far as the work that was submitted is done; undefined if unknown. */
  logitsLength: number | undefined
  /** Adds the tokens of a run. @param length the total length in this run */
  add(newIds: readonly number[], length: number): void
  /** Keeps the first `length` tokens. With states of fixed size, these are all tokens or none. */
  rewind(length: number): void
  /** Parks a copy of the conversation. The cache itself cannot be parked, since the recording is bound to its buffers. */
  park(): void
  /** These are as in `Decoder`. */
  recall(target: readonly number[]): number
  hasLogits(target: readonly number[]): boolean
  countCurrent(target: readonly number[]): number
  countReusable(target: readonly number[]): number
  copyStates(target: readonly number[]): StateCopy
  restoreStates(
    ids: readonly number[],
    pieces: readonly Uint8Array<ArrayBuffer>[],
    reservedTokens?: number,
  ): void
}

/** A conversation of the same model. */
interface OtherConversation {
  readonly ids: readonly number[]
  readonly cache: FixedCache
}

/** @param listOthers returns the other conversations of the model */
export function createComputedTokens(
  model: GpuModel,
  steps: GpuSteps,
  conversations: Conversations<ParkedCache>,
  listOthers: () => readonly OtherConversation[],
): ComputedTokens {
  const { runtime, device, caches, fixedStates, prefillRules } = model
  const { states } = steps
  const ids: number[] = []
  let logitsLength: number | undefined
  let checkpoints: readonly number[] = []
  /** True if a checkpoint may split a run in two. `wholePrompt` and a finite `rotarySwitch` do not allow this. */
  const canSplitRuns = !prefillRules.wholePrompt && prefillRules.rotarySwitch === Infinity

  const countReusable = (conversation: { readonly ids: readonly number[] }, target: readonly number[]) =>
    countReusableTokens(fixedStates, conversation.ids, target)

  function rewind(length: number): void {
    if (length === 0) states.reset()
    if (length !== ids.length) logitsLength = undefined
    ids.length = length
  }

  function park(): void {
    const sizeBytes = countCacheBytes(caches, ids.length) + countFixedStateBytes(fixedStates)
    if (sizeBytes > model.conversationCacheBytes) return
    const copy = createFixedCache(runtime, device, caches, ids.length)
    copyCache(device, caches, steps.cache, copy, ids.length)
    conversations.park({ ids: [...ids], cache: { cache: copy, states: states.save() }, sizeBytes })
  }

  function parkBefore(target: readonly number[]): void {
    if (ids.length - countCommonPrefix(ids, target) >= worthParkingTokens) park()
  }

  function recall(target: readonly number[]): number {
    const reusable = countReusable({ ids }, target)
    const other = findOther(target, reusable)
    const earlier = conversations.take(target, other ? countReusable(other, target) : reusable)
    parkBefore(target)
    const recalled = earlier
      ? recallEarlier(earlier, target)
      : other
        ? copyOther(other, countReusable(other, target), target.length + 1)
        : reusable
    if (!earlier && !other) rewind(reusable)
    // For the whole prompt at once: each growth copies the cache, and frees the recorded steps.
    steps.reserve(target.length + 1, ids.length)
    checkpoints = fixedStates.length > 0 && canSplitRuns ? chooseCheckpoints(recalled, target.length) : []
    return recalled
  }

  /** Returns the other conversation that has computed the most of `target`, if it has computed more than `moreThan`. */
  function findOther(target: readonly number[], moreThan: number): OtherConversation | undefined {
    // The states of a conversation that goes on are those after its newest token.
    if (fixedStates.length > 0) return undefined
    let best: OtherConversation | undefined
    let longest = moreThan
    for (const other of listOthers()) {
      const common = countReusable(other, target)
      if (common > longest) [best, longest] = [other, common]
    }
    return best
  }

  function copyOther(other: OtherConversation, length: number, reservedTokens: number): number {
    rewind(0)
    steps.reserve(Math.max(length, reservedTokens), 0)
    copyCache(device, caches, other.cache, steps.cache, length)
    ids.push(...other.ids.slice(0, length))
    return length
  }

  function recallEarlier(earlier: Conversation<ParkedCache>, target: readonly number[]): number {
    rewind(0)
    steps.reserve(Math.max(earlier.ids.length, target.length + 1), 0)
    copyCache(device, caches, earlier.cache.cache, steps.cache, earlier.ids.length)
    states.restore(earlier.cache.states)
    const recalled = countReusable(earlier, target)
    if (earlier.ids.length - recalled >= worthParkingTokens) conversations.park(earlier)
    else freeParked(earlier.cache)
    ids.push(...earlier.ids.slice(0, recalled))
    return recalled
  }

  function copyStates(target: readonly number[]): StateCopy {
    recall(fixedStates.length > 0 ? cutToCheckpoint(target) : target)
    const { length } = ids
    const { cache } = steps
    const sizes = measureStates({ caches, fixedStates }, length)
    return {
      ids: [...ids],
      sizes,
      async *read() {
        for (const [index, input] of caches.entries()) {
          // Compact and of one buffer only, so that little memory is needed.
          const compact = createFixedCache(runtime, device, [input], length)
          const whole = { buffers: [cache.buffers[index]!], capacity: cache.capacity }
          copyCache(device, [input], whole, compact, length)
          const copied = readBuffer(device, compact.buffers[0]!, sizes[index]!)
          yield await copied.finally(() => compact.destroy())
        }
        for (const [index, buffer] of states.buffers.entries())
          yield await readBuffer(device, buffer, sizes[caches.length + index]!)
      },
    }
  }

  function restoreStates(
    copiedIds: readonly number[],
    pieces: readonly Uint8Array<ArrayBuffer>[],
    reservedTokens = 0,
  ): void {
    parkBefore(copiedIds)
    rewind(0)
    steps.reserve(Math.max(copiedIds.length, reservedTokens), 0)
    writeCache(device, caches, pieces, steps.cache, copiedIds.length)
    states.write(pieces.slice(caches.length))
    ids.push(...copiedIds)
  }

  return {
    ids,
    get checkpoints() {
      return checkpoints
    },
    get logitsLength() {
      return logitsLength
    },
    set logitsLength(length) {
      logitsLength = length
    },
    add(newIds, length) {
      ids.push(...markTokens(prefillRules, newIds, length))
      states.advance()
    },
    rewind,
    park,
    recall,
    hasLogits: (target) =>
      logitsLength === ids.length &&
      ids.length === target.length &&
      countCommonPrefix(ids, target) === ids.length,
    countCurrent: (target) => countReusable({ ids }, target),
    countReusable(target) {
      const own = countReusable({ ids }, target)
      const other = findOther(target, own)
      return Math.max(other ? countReusable(other, target) : own, conversations.countReusable(target))
    },
    copyStates,
    restoreStates,
  }
}

/** Returns how many of the first tokens of `target` a conversation can reuse. States of fixed size cannot be truncated. */
export function countReusableTokens(
  fixedStates: readonly FixedState[],
  ids: readonly number[],
  target: readonly number[],
): number {
  const common = countCommonPrefix(ids, target)
  return fixedStates.length === 0 || common === ids.length ? common : 0
}

export function freeParked({ cache, states }: ParkedCache): void {
  cache.destroy()
  states.destroy()
}
