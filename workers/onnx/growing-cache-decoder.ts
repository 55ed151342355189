import type { InferenceSession, Tensor } from 'onnxruntime-web'
import { copyHeads, isShared, type Cache, type Prefix, type Row } from './cache-rows.js'
import { chooseCheckpoints, cutToCheckpoint, splitAtCheckpoints } from './checkpoints.js'
import { countCommonPrefix, createConversations, worthParkingTokens } from './conversations.js'
import { createInvalidLogitsError, type Decoder, type FindMask, type StateCopy } from './decoder.js'
import { logitsOutput } from './graph-names.js'
import { openBatch, type GrowingBatch } from './growing-batch.js'
import { markTokens, type PrefillRules } from './prefill-rules.js'
import { rankLogits } from './ranking.js'
import { readLogits, readOutput } from './read-outputs.js'
import { chooseTable, type RotaryTables } from './rotary-tables.js'
import { createTokenHistory, greedy, sampleToken } from './sampler.js'
import { noToken } from './sampler-arithmetic.js'
import type { OnnxRuntime } from './session.js'
import {
  countCacheBytes,
  countElementBytes,
  countElements,
  countFixedStateBytes,
  measureStates,
  shapeCache,
  type CacheInput,
  type StateSchema,
} from './state-schema.js'
import { measureDifference, stepTolerances } from './step-check.js'
import { createStepScheduler } from './step-scheduler.js'
import { prepareTokenFeeds } from './token-feeds.js'

/** Small, since a graph that could not be rewritten returns the logits of every position in the chunk. */
const prefillChunkTokens = 128

/** The number of tokens to compute at load, so that the first request does not wait for the warm-up. */
const warmUpTokens = 20

/** The parameters of `createGrowingCacheDecoder` that most callers leave out. */
interface GrowingCacheOptions {
  readonly rotaryTables?: readonly RotaryTables[] | undefined
  /** Resolves if the device is lost. Never resolves on WASM. */
  readonly lost?: Promise<string> | undefined
  /** The largest number of conversations whose steps are computed in one run, if the graph allows that. */
  readonly maxRows?: number | undefined
  /** As `hashGraph` returns. */
  readonly graphHash?: string | undefined
}

/**
 * Creates a decoder for any graph on any device: each step creates new KV cache tensors, and the logits are sampled on the
 * CPU. It is used on WASM, and on a GPU for graphs that could not be rewritten.
 *
 * States of fixed size cannot be truncated to a prefix. For a model with such states, the decoder keeps checkpoints
 * instead: near the end of each prompt, and at the end of each answer that a prompt continues. The checkpoints count
 * towards the budget for earlier conversations.
 */
export async function createGrowingCacheDecoder(
  { Tensor }: OnnxRuntime,
  session: InferenceSession,
  schema: StateSchema,
  conversationCacheBytes: number,
  prefillRules: PrefillRules,
  { rotaryTables = [], lost = new Promise(() => {}), maxRows = 1, graphHash = '' }: GrowingCacheOptions = {},
): Promise<Decoder> {
  const { caches, fixedStates, positionRows } = schema
  const createTokenFeeds = prepareTokenFeeds(Tensor, session, positionRows)
  const states = [...caches, ...fixedStates]
  /** True if a checkpoint may split a run in two. `wholePrompt` and a finite `rotarySwitch` do not allow this. */
  const canSplitRuns = !prefillRules.wholePrompt && prefillRules.rotarySwitch === Infinity
  const conversations = createConversations(conversationCacheBytes, disposeCache, countReusable)
  const rows: Row[] = []
  let batch = maxRows > 1 ? openBatch(Tensor, session, schema, prefillRules) : undefined
  const scheduler = createStepScheduler<Row>(() => (batch ? maxRows : 1), computeSteps)

  function createEmptyCache(): Cache {
    return new Map([
      ...caches.map((input) => [input.past, createCacheTensor(input, 0)] as const),
      ...fixedStates.map(({ past, type, dims }) => [past, createZeros(type, dims)] as const),
    ])
  }

  function createCacheTensor(input: CacheInput, length: number): Tensor {
    return createZeros(input.type, shapeCache(input, length))
  }

  function createZeros(type: CacheInput['type'], dims: readonly number[]): Tensor {
    const size = countElements(dims)
    return new Tensor(type, type === 'float16' ? new Uint16Array(size) : new Float32Array(size), dims)
  }

  /** Creates the part of a table that a sequence of `length` tokens needs, since ONNX Runtime copies it in each run. */
  function createRotaryTable(tables: RotaryTables, length: number): Tensor {
    const { type, width } = tables
    const { buffer } = chooseTable(tables, prefillRules.rotarySwitch, length)
    const rowCount = buffer.byteLength / (width * countElementBytes(type))
    const height = Math.min(length, rowCount)
    const data =
      type === 'float16'
        ? new Uint16Array(buffer, 0, height * width)
        : new Float32Array(buffer, 0, height * width)
    return new Tensor(type, data, [height, width])
  }

  /** Creates the inputs of a run: those for the tokens, the rotary tables, and the states. */
  function createFeeds({ ids, cache }: Row, newIds: readonly number[]): Record<string, Tensor> {
    const total = ids.length + newIds.length
    return {
      ...createTokenFeeds(newIds, ids.length),
      ...Object.fromEntries(rotaryTables.map((tables) => [tables.input, createRotaryTable(tables, total)])),
      ...Object.fromEntries(cache),
    }
  }

  /** Computes `newIds` in one run, or in several runs if there are checkpoints between the first and the last token. */
  async function prefill(row: Row, newIds: readonly number[]): Promise<void> {
    const start = row.ids.length
    for (const stop of splitAtCheckpoints(row.checkpoints, start, start + newIds.length))
      await scheduler.run(() => compute(row, newIds.slice(row.ids.length - start, stop - start)))
  }

  async function compute(row: Row, newIds: readonly number[]): Promise<void> {
    separate(row)
    row.hasLogits = false
    const outputs = await session.run(createFeeds(row, newIds))
    const newCache = new Map(states.map(({ past, present }) => [past, readOutput(outputs, present)]))
    const { ids, cache } = row
    if (row.checkpoints.includes(ids.length)) park({ ids, cache })
    else disposeCache(cache)
    row.cache = newCache
    addComputed(row, newIds)
    row.logits = await readLogits(readOutput(outputs, logitsOutput))
    row.hasLogits = true
  }

  function addComputed(row: Row, newIds: readonly number[]): void {
    row.ids = [...row.ids, ...markTokens(prefillRules, newIds, row.ids.length + newIds.length)]
    row.pending = undefined
  }

  /** Computes the pending tokens of the rows: in one run, or of the only row. */
  async function computeSteps(chosen: readonly Row[]): Promise<void> {
    const [first] = chosen
    if (!first) return
    if (!batch || chosen.length === 1) {
      await compute(first, [first.pending!])
      return
    }
    const sorted = chosen.toSorted((one, other) => rows.indexOf(one) - rows.indexOf(other))
    for (const row of sorted) row.hasLogits = false
    const { cache, logits } = await batch.run(sorted)
    const vocabulary = logits.length / sorted.length
    for (const [index, row] of sorted.entries()) {
      row.cache = cache
      row.index = index
      addComputed(row, [row.pending!])
      row.logits = logits.slice(index * vocabulary, (index + 1) * vocabulary)
      row.hasLogits = true
    }
  }

  /** Makes the cache of a row a cache of this row only. */
  function separate(row: Row): void {
    if (!isShared(row)) return
    row.cache = copyPrefix(row, row.ids.length)
    row.index = 0
  }

  async function next(row: Row, position: number, findMask?: FindMask): Promise<number> {
    scheduler.join(row)
    if (row.pending !== undefined) await scheduler.step(row)
    const mask = await findMask?.()
    const id = sampleToken(row.logits, row.sampling, row.history, row.seed, position, mask)
    if (id === noToken) throw createInvalidLogitsError()
    row.history.add(id)
    row.pending = id
    return id
  }

  function recall(row: Row, target: readonly number[]): number {
    separate(row)
    row.pending = undefined
    const own: Prefix = { ids: row.ids, cache: row.cache }
    const other = findOther(row, target)
    const earlier = conversations.take(target, countReusable(other ?? own, target))
    const longest: Prefix = earlier ?? other ?? own
    const kept = countReusable(longest, target)
    row.hasLogits &&= longest === own && kept === row.ids.length
    row.ids = longest.ids.slice(0, kept)
    if (kept === longest.ids.length && longest !== other) row.cache = longest.cache
    else row.cache = kept === 0 ? createEmptyCache() : copyPrefix(longest, kept)
    for (const each of new Set([own, earlier ?? own])) if (each.cache !== row.cache) parkOrFree(each, row.ids)
    row.checkpoints = fixedStates.length > 0 && canSplitRuns ? chooseCheckpoints(kept, target.length) : []
    return kept
  }

  function recallLogits(row: Row, target: readonly number[]): boolean {
    const { ids, hasLogits } = row
    const isSame = hasLogits && ids.length === target.length && countCommonPrefix(ids, target) === ids.length
    if (isSame) row.pending = undefined
    return isSame
  }

  function copyStates(row: Row, target: readonly number[]): StateCopy {
    recall(row, fixedStates.length > 0 ? cutToCheckpoint(target) : target)
    const { ids, cache } = row
    return {
      ids,
      sizes: measureStates({ caches, fixedStates }, ids.length),
      async *read() {
        for (const { past } of states) {
          // On WebGPU, this reads the tensor back. No tensor is changed after it was computed.
          const { buffer, byteOffset, byteLength } = (await cache
            .get(past)!
            .getData()) as Float32Array<ArrayBuffer>
          yield new Uint8Array(buffer, byteOffset, byteLength)
        }
      },
    }
  }

  function restoreStates(
    row: Row,
    copiedIds: readonly number[],
    pieces: readonly Uint8Array<ArrayBuffer>[],
  ): void {
    separate(row)
    const own: Prefix = { ids: row.ids, cache: row.cache }
    row.cache = new Map(
      states.map((input, index) => {
        const dims = 'dims' in input ? input.dims : shapeCache(input, copiedIds.length)
        return [input.past, createTensor(input.type, pieces[index]!, dims)]
      }),
    )
    row.ids = copiedIds
    row.pending = undefined
    row.hasLogits = false
    parkOrFree(own, copiedIds)
  }

  function createTensor(
    type: CacheInput['type'],
    bytes: Uint8Array<ArrayBuffer>,
    dims: readonly number[],
  ): Tensor {
    const { buffer, byteOffset, byteLength } = bytes
    const count = byteLength / countElementBytes(type)
    return type === 'float16'
      ? new Tensor(type, new Uint16Array(buffer, byteOffset, count), dims)
      : new Tensor(type, new Float32Array(buffer, byteOffset, count), dims)
  }

  /** Returns the row that has computed more of `target` than the other rows. Returns undefined if `row` has. */
  function findOther(row: Row, target: readonly number[]): Row | undefined {
    let best = row
    for (const other of rows) {
      const isMore = countReusable(other, target) > countReusable(best, target)
      if (isMore && canCopy(other.cache)) best = other
    }
    return best === row ? undefined : best
  }

  /**
   * Returns how many of the first tokens of `target` a conversation can reuse. Any conversation can be continued at its
   * end, but not every cache can be truncated to a prefix.
   */
  function countReusable(conversation: Prefix, target: readonly number[]): number {
    const common = countCommonPrefix(conversation.ids, target)
    return common === conversation.ids.length || canCopy(conversation.cache) ? common : 0
  }

  /** True if a prefix can be copied: this code cannot copy a tensor in GPU memory. */
  function canCopy(cache: Cache): boolean {
    return fixedStates.length === 0 && [...cache.values()].every(({ location }) => location === 'cpu')
  }

  /** Parks a conversation, or frees it if fewer than `worthParkingTokens` of its tokens are missing in the current one. */
  function parkOrFree(other: Prefix, ids: readonly number[]): void {
    const isWorthIt = other.ids.length - countCommonPrefix(other.ids, ids) >= worthParkingTokens
    if (isWorthIt) park(other)
    else disposeCache(other.cache)
  }

  function park({ ids, cache }: Prefix): void {
    const sizeBytes = countCacheBytes(caches, ids.length) + countFixedStateBytes(fixedStates)
    conversations.park({ ids, cache, sizeBytes })
  }

  /** Returns a copy of the first `length` tokens of each head. */
  function copyPrefix({ cache, index = 0 }: Prefix, length: number): Cache {
    return new Map(
      caches.map((input) => {
        const copy = createCacheTensor(input, length)
        const tensor = cache.get(input.past)
        if (tensor) copyHeads(input, { tensor, index }, { tensor: copy, index: 0 }, length)
        return [input.past, copy]
      }),
    )
  }

  function createRow(): Row {
    return {
      ids: [],
      cache: createEmptyCache(),
      index: 0,
      checkpoints: [],
      logits: new Float32Array(),
      hasLogits: false,
      pending: undefined,
      sampling: greedy,
      seed: 0,
      history: createTokenHistory([]),
      rankCount: 0,
    }
  }

  /** True if a step of two rows with different lengths gives the logits of two steps. */
  async function testBatch({ run }: GrowingBatch): Promise<boolean> {
    const probes = [createRow(), createRow()]
    for (const [index, row] of probes.entries()) {
      await compute(
        row,
        Array.from({ length: warmUpTokens >> index }, (_, id) => id + index),
      )
      row.pending = 1
    }
    const together = await run(probes).catch(() => undefined)
    let alone: number[] = []
    for (const row of probes) {
      await compute(row, [1])
      alone = alone.concat(Array.from(row.logits))
      disposeCache(row.cache)
    }
    if (together?.logits.length !== alone.length) return false
    const name = (logits: Float32Array) => new Map([[logitsOutput, logits]])
    return measureDifference(name(together.logits), name(Float32Array.from(alone))) < stepTolerances.float32
  }

  function openRow(): Decoder {
    const row = createRow()
    rows.push(row)
    return {
      execution: 'growing-cache',
      lost,
      prefillChunkTokens,
      prefillRules,
      recall: (target) => recall(row, target),
      recallLogits: (target) => recallLogits(row, target),
      countCurrent: (target) => countReusable(row, target),
      countReusable(target) {
        const best = findOther(row, target) ?? row
        return Math.max(countReusable(best, target), conversations.countReusable(target))
      },
      stateFormat: JSON.stringify([graphHash, caches, fixedStates]),
      stateSchema: { caches, fixedStates },
      copyStates: (target) => copyStates(row, target),
      restoreStates: (ids, pieces) => restoreStates(row, ids, pieces),
      prefill: (newIds) => prefill(row, newIds),
      startAnswer(sampling, seed, promptIds, answerIds, rankCount = 0) {
        const history = createTokenHistory(promptIds)
        for (const id of answerIds) history.add(id)
        Object.assign(row, { sampling, seed, history, rankCount } satisfies Partial<Row>)
      },
      next: (position, _, findMask) => next(row, position, findMask),
      append(appended) {
        for (const id of appended) row.history.add(id)
      },
      readRanking: () => rankLogits(row.logits, row.pending!, row.rankCount),
      readLogits: () => Promise.resolve(row.logits),
      endAnswer() {
        scheduler.leave(row)
        // A cache that rows share is as large as all of them, and stays as long as one has it.
        separate(row)
      },
      fork: openRow,
      async release() {
        for (const { cache } of rows) disposeCache(cache)
        conversations.clear()
        await session.release()
      },
    }
  }

  const decoder = openRow()
  await decoder.prefill(Array.from({ length: warmUpTokens }, (_, index) => index))
  await decoder.next(0, 1)
  await decoder.next(1, 0)
  if (batch && !(await testBatch(batch))) batch = undefined
  decoder.endAnswer()
  decoder.recall([])
  conversations.clear()
  return decoder
}

function disposeCache(cache: Cache): void {
  for (const tensor of cache.values()) tensor.dispose()
}
