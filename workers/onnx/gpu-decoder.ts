import type { InferenceSession } from 'onnxruntime-web'
import {
  countCacheBytes,
  countFixedStateBytes,
  measureStates,
  type CacheInput,
  type FixedState,
  type StateSchema,
} from './state-schema.js'
import { chooseCheckpoints, cutToCheckpoint, splitAtCheckpoints } from './checkpoints.js'
import {
  countCommonPrefix,
  createConversations,
  worthParkingTokens,
  type Conversation,
  type Conversations,
} from './conversations.js'
import { createInvalidLogitsError, type Decoder, type FindMask, type StateCopy } from './decoder.js'
import { checkSteps, type DecodeStep } from './check-steps.js'
import { recordDispatches, replayDispatches, type Dispatch } from './dispatch-recorder.js'
import { copyCache, createFixedCache, writeCache, type FixedCache } from './fixed-cache.js'
import { fuseDispatches, maxFusedTokens, type AttentionPipelines, type FusedStep } from './fuse-dispatches.js'
import { createFixedStates, type SavedStates, type StateSet } from './fixed-states.js'
import { describeLoss } from './gpu-device.js'
import { createGpuRanking, rankingSize, readRanking, type GpuRanking } from './gpu-ranking.js'
import { createGpuSampler } from './gpu-sampler.js'
import { graphInputs } from './graph-names.js'
import type { LayerAttention } from './layer-attentions.js'
import { markTokens, type PrefillRules } from './prefill-rules.js'
import type { Ranking } from './ranking.js'
import type { RotaryTables } from './rotary-tables.js'
import { greedy } from './sampler.js'
import { noToken } from './sampler-arithmetic.js'
import type { ReferenceStep } from './reference-steps.js'
import { testReplay } from './self-test.js'
import type { OnnxRuntime } from './session.js'
import { createOwnEncoder } from './own-encoder.js'
import { WrongFusionError } from './step-check.js'
import { createStepScheduler, type StepScheduler } from './step-scheduler.js'
import { createStepTensors, type StepTensors } from './step-tensors.js'
import { createReadback, readBuffer, readWords } from './step-readback.js'

/** The parameters of `createGpuDecoder`. */
export interface GpuModel {
  readonly runtime: OnnxRuntime
  readonly device: GPUDevice
  /** A session of a rewritten graph. Its graph capture is enabled if `canCapture` is true. */
  readonly session: InferenceSession
  readonly caches: readonly CacheInput[]
  readonly fixedStates: readonly FixedState[]
  readonly vocabulary: number
  readonly logitsType: 'float32' | 'float16'
  readonly contextLength: number
  /** The initial capacity of the KV cache, in tokens. It doubles when the cache is full. */
  readonly firstCapacity: number
  /** The budget for the KV caches of earlier conversations, in bytes. */
  readonly conversationCacheBytes: number
  readonly canCapture: boolean
  /** The layers whose attention may be fused in a replayed step. */
  readonly attentions: readonly LayerAttention[]
  readonly prefillRules: PrefillRules
  readonly positionRows: StateSchema['positionRows']
  readonly rotaryTables: readonly RotaryTables[]
  /** True if the graph computes a matrix of [heads, new tokens, total tokens]. Then a run has fewer tokens. */
  readonly hasScoreMatrix: boolean
  /** The steps that must equal those of the exported graph; undefined if they were checked at an earlier load. */
  readonly referenceSteps?: readonly ReferenceStep[]
  /** True if the self-test passed at an earlier load: then it is left out. @default false */
  readonly isTested?: boolean
  /** As `hashGraph` returns. */
  readonly graphHash?: string
}

/** The size of an int64, in bytes. */
const tokenIdSize = 8

/** Disables graph capture for one run. With any other id, ONNX Runtime would later replay a run of this prompt's shape. */
const uncaptured = { extra: { gpu_graph_id: '-1' } }

/** Large, since each run costs as much CPU time as an uncaptured decode step, no matter how many tokens it computes. */
const prefillChunkTokens = 1024
/** The number for a graph that computes a matrix of scores, whose size is a multiple of this number. */
const scoreMatrixChunkTokens = 128

/** What the conversations of a model share. */
interface SharedModel {
  readonly model: GpuModel
  readonly rows: GpuRow[]
  readonly conversations: Conversations<ParkedCache>
  readonly scheduler: StepScheduler<GpuRow>
  readonly pipelines: AttentionPipelines
  /** False if decode steps cannot be replayed on this device. */
  canReplay: boolean
  /** The id of the newest capture. A captured run is bound to the buffers of its conversation. */
  graphId: number
}

/** A conversation: its cache, and its decoder. */
interface GpuRow {
  readonly ids: readonly number[]
  readonly cache: FixedCache
  readonly decoder: Decoder
  /** Starts the step that the conversation has requested from the scheduler. */
  startStep(): Promise<void>
  /** Runs the self-test, and compares the steps with `referenceSteps`. @throws WrongStepError */
  test(): Promise<void>
  destroy(): void
}

/**
 * Creates a decoder that reads back only eight bytes per token, and 168 more if the answer has log-probabilities. The KV cache stays in fixed GPU buffers. The sampler is a
 * GPU kernel that writes the next input of the graph. A decode step issues the recorded dispatches of a captured ONNX
 * Runtime run and the dispatches of the sampler in one submit.
 *
 * When the promise resolves, the self-test has compared the replay with uncaptured runs, and `checkSteps` has compared the
 * steps with `referenceSteps`; both now, or at an earlier load.
 * @throws WrongStepError if a step differs from the exported graph's, or if replayed steps cannot be checked
 */
export async function createGpuDecoder(model: GpuModel): Promise<Decoder> {
  const { fixedStates } = model
  const countReusable = (conversation: { readonly ids: readonly number[] }, target: readonly number[]) =>
    countReusableTokens(fixedStates, conversation.ids, target)
  const shared: SharedModel = {
    model,
    rows: [],
    conversations: createConversations<ParkedCache>(model.conversationCacheBytes, freeParked, countReusable),
    scheduler: createStepScheduler<GpuRow>(
      () => 1,
      async (rows) => {
        for (const row of rows) await row.startStep()
      },
    ),
    pipelines: new Map(),
    canReplay: model.canCapture,
    graphId: 0,
  }
  const row = openRow(shared)
  if (!model.isTested) await row.test()
  return row.decoder
}

/** Returns how many of the first tokens of `target` a conversation can reuse. States of fixed size cannot be truncated. */
function countReusableTokens(
  fixedStates: readonly FixedState[],
  ids: readonly number[],
  target: readonly number[],
): number {
  const common = countCommonPrefix(ids, target)
  return fixedStates.length === 0 || common === ids.length ? common : 0
}

/** Opens another conversation. */
function openRow(shared: SharedModel): GpuRow {
  const { model, conversations, scheduler } = shared
  const { runtime, device, session, caches, fixedStates, vocabulary, logitsType, prefillRules } = model
  const hasPositions = session.inputNames.includes(graphInputs.positionIds)
  const tensors = createStepTensors(runtime, device, { ...model, ...prefillRules, hasPositions })
  const { logits, tokenId } = tensors
  // One buffer for the step that is being read back, and one for the step that runs at the same time.
  const readbackSize = tokenIdSize + rankingSize
  const readbacks = [createReadback(device, readbackSize), createReadback(device, readbackSize)] as const
  const samplerBuffers = { logits, logitsType, vocabulary, tokenId }
  const sampler = createGpuSampler(device, samplerBuffers)
  /** Created for the first answer with log-probabilities. */
  let gpuRanking: GpuRanking | undefined
  /** The number of tokens that each step of the answer ranks; undefined if it ranks none. */
  let rankCount: number | undefined
  /** The ranking of the step that `next` returned last. */
  let ranking: Ranking | undefined
  let cache = createFixedCache(runtime, device, caches, Math.min(model.firstCapacity, model.contextLength))
  const states = createFixedStates(runtime, device, fixedStates)
  /** The tokens that are computed into the cache, marked by `markTokens`. */
  const ids: number[] = []
  /** The token that was sampled and stored in `tokenId`, but that no step has computed yet. */
  let pending: number | undefined
  /** The newest step, if it was submitted before `next` requested it. */
  let ahead: SubmittedStep | undefined
  /** The number of tokens after which `logits` are, as far as the work that was submitted is done; undefined if unknown. */
  let logitsLength: number | undefined
  /** Resolves when no token is being read back. */
  let idle: Promise<unknown> = Promise.resolve()
  /**
   * The recorded decode step for each set of states. It is bound to the buffers of the current cache. A larger cache needs a
   * new recording, unless all attention is fused.
   */
  let recordings: Partial<Record<StateSet, RecordedStep>> = {}
  /** The lengths of the current prompt at which `prefill` parks the conversation, because its states cannot be truncated. */
  let checkpoints: readonly number[] = []
  /** True if a checkpoint may split a run in two. `wholePrompt` and a finite `rotarySwitch` do not allow this. */
  const canSplitRuns = !prefillRules.wholePrompt && prefillRules.rotarySwitch === Infinity
  /** The step that is requested from the scheduler. */
  let request: { readonly position: number; readonly findMask: FindMask | undefined } | undefined
  /** The step that the scheduler has started. */
  let started: SubmittedStep | undefined

  function reserve(length: number): void {
    if (length <= cache.capacity) return
    let capacity = cache.capacity
    while (capacity < length) capacity *= 2
    resize(Math.min(capacity, model.contextLength))
  }

  function resize(capacity: number): void {
    const resized = createFixedCache(runtime, device, caches, capacity)
    copyCache(device, caches, cache, resized, ids.length)
    cache.destroy()
    cache = resized
    recordings = Object.fromEntries(
      Object.entries(recordings).map(([set, { fused }]) => [set, { fused: fused?.moveTo(resized.buffers) }]),
    )
  }

  /** Runs ONNX Runtime. Only one run at a time is possible: the scheduler sees to it. */
  function run(inputs: StepTensors['inputs'], options: InferenceSession.RunOptions): Promise<unknown> {
    return session.run(
      { ...inputs, ...cache.feeds, ...states.feeds },
      { ...tensors.outputs, ...cache.fetches, ...states.fetches },
      options,
    )
  }

  /** Computes `newIds` after `cachedTokens` tokens, without capture. */
  function runUncaptured(newIds: readonly number[], cachedTokens: number): Promise<unknown> {
    return run(tensors.createInputs(newIds, cachedTokens), uncaptured)
  }

  /** Computes `newIds` in one run, or in several runs if there are checkpoints between the first and the last token. */
  async function prefill(newIds: readonly number[]): Promise<void> {
    const start = ids.length
    for (const stop of splitAtCheckpoints(checkpoints, start, start + newIds.length)) {
      if (checkpoints.includes(ids.length)) park()
      await scheduler.run(() => compute(newIds.slice(ids.length - start, stop - start)))
    }
  }

  async function compute(newIds: readonly number[]): Promise<void> {
    const length = ids.length + newIds.length
    reserve(length)
    logitsLength = undefined
    await runUncaptured(newIds, ids.length)
    addComputed(newIds, length)
    logitsLength = length
    pending = undefined
    ahead = undefined
  }

  /** Adds the tokens of a run to `ids`. @param length the total length in this run */
  function addComputed(newIds: readonly number[], length: number): void {
    ids.push(...markTokens(prefillRules, newIds, length))
    states.advance()
  }

  /**
   * Makes ONNX Runtime capture the step whose inputs are in the buffers, and records its replay. Both runs compute the same
   * step. The first run captures it, and the later ones replay it.
   * @returns undefined if the recorded dispatches are not enough to repeat the step
   */
  async function capture(): Promise<DecodeStep | undefined> {
    shared.graphId += 1
    const extra = { gpu_graph_id: String(shared.graphId) }
    const runStep = () => run(tensors.inputs, { extra })
    const step = {
      capture: await recordDispatches(device, runStep),
      replay: await recordDispatches(device, runStep),
    }
    const { bindGroups, otherCommands, dispatches } = step.replay
    if (bindGroups.size > 0 || otherCommands > 0 || dispatches.length === 0) return undefined
    const layers = { attentions: model.attentions, caches, buffers: cache.buffers }
    return { captured: step, fused: await fuseDispatches(device, step, layers, shared.pipelines) }
  }

  /**
   * Chooses the dispatches that compute a step in which the sequence has `length` tokens.
   * @returns undefined if the step must be captured
   */
  function chooseDispatches(length: number): readonly Dispatch[] | undefined {
    const { fused, captured } = recordings[states.current] ?? {}
    return fused && length <= maxFusedTokens ? fused.dispatches : captured?.replay.dispatches
  }

  /**
   * Computes the pending token, if there is one.
   * @returns the dispatches that the caller must submit to compute the token; empty if no submit is needed
   */
  async function advance(): Promise<readonly Dispatch[]> {
    if (pending === undefined) return []
    if (!shared.canReplay) {
      await compute([pending])
      return []
    }
    reserve(ids.length + 1)
    logitsLength = undefined
    tensors.writeLength(ids.length + 1)
    const dispatches = chooseDispatches(ids.length + 1)
    if (!dispatches) {
      const step = await capture()
      if (step) recordings[states.current] = step
      shared.canReplay = step !== undefined
    }
    // Called after the step: if the step fails, the token must not count as computed.
    addComputed([pending], ids.length + 1)
    // The dispatches are submitted before anything else reads the logits.
    logitsLength = ids.length
    return dispatches ?? []
  }

  function writeStep(id: number, length: number): void {
    tensors.writeTokenId(id)
    tensors.writeLength(length)
  }

  /** Submits dispatches without sampling. */
  function replayAlone(dispatches: readonly Dispatch[]): void {
    const encoder = createOwnEncoder(device)
    const pass = encoder.beginComputePass()
    replayDispatches(pass, dispatches)
    pass.end()
    device.queue.submit([encoder.finish()])
  }

  /** Submits the dispatches of a step, and then those that sample the token at `position`. */
  function submit(position: number, dispatches: readonly Dispatch[]): SubmittedStep {
    const readback = readbacks[position % 2 === 0 ? 0 : 1]
    const encoder = createOwnEncoder(device)
    const pass = encoder.beginComputePass()
    replayDispatches(pass, dispatches)
    sampler.encode(pass, position)
    const ranks = rankCount === undefined ? undefined : gpuRanking
    ranks?.encode(pass)
    pass.end()
    encoder.copyBufferToBuffer(tokenId, 0, readback, 0, tokenIdSize)
    if (ranks) encoder.copyBufferToBuffer(ranks.result, 0, readback, tokenIdSize, rankingSize)
    device.queue.submit([encoder.finish()])
    const words = readWords(readback, ranks ? readbackSize : tokenIdSize)
    idle = words.catch(() => {})
    return { position, words }
  }

  /** Computes the pending token, and samples the requested one. Finds its mask while the step runs. */
  async function startStep(): Promise<void> {
    const { position, findMask } = request!
    // An abandoned step may still be reading back its token.
    await idle
    const dispatches = await advance()
    if (findMask) {
      if (dispatches.length > 0) replayAlone(dispatches)
      sampler.setMask(await findMask())
    }
    started = submit(position, findMask ? [] : dispatches)
  }

  async function requestStep(position: number, findMask: FindMask | undefined): Promise<SubmittedStep> {
    request = { position, findMask }
    await scheduler.step(row)
    return started!
  }

  /** Starts the next step before the current token is read back, if a replay is enough for this step. */
  function startAhead(position: number): SubmittedStep | undefined {
    const dispatches = chooseDispatches(ids.length + 1)
    const canStart = shared.canReplay && ids.length < cache.capacity
    if (!dispatches || !canStart) return undefined
    tensors.writeLength(ids.length + 1)
    logitsLength = ids.length + 1
    return submit(position, dispatches)
  }

  async function next(position: number, willContinue: boolean, findMask?: FindMask): Promise<number> {
    const step = ahead?.position === position ? ahead : await requestStep(position, findMask)
    ahead = willContinue ? startAhead(position + 1) : undefined
    const words = await step.words
    const [id = noToken] = words
    if (rankCount !== undefined) ranking = readRanking(words.subarray(tokenIdSize / 4), rankCount)
    if (id === noToken) throw createInvalidLogitsError()
    if (ahead) addComputed([id], ids.length + 1)
    pending = ahead ? undefined : id
    sampler.noteSampled(id)
    return id
  }

  /** Keeps the first `length` tokens. With states of fixed size, these are all tokens or none. */
  function rewind(length: number): void {
    if (length === 0) states.reset()
    if (length !== ids.length) logitsLength = undefined
    ids.length = length
    pending = undefined
    ahead = undefined
  }

  /** Parks a copy of the conversation. The cache itself cannot be parked, since the recording is bound to its buffers. */
  function park(): void {
    const sizeBytes = countCacheBytes(caches, ids.length) + countFixedStateBytes(fixedStates)
    if (sizeBytes > model.conversationCacheBytes) return
    const copy = createFixedCache(runtime, device, caches, ids.length)
    copyCache(device, caches, cache, copy, ids.length)
    conversations.park({ ids: [...ids], cache: { cache: copy, states: states.save() }, sizeBytes })
  }

  const countReusable = (conversation: { readonly ids: readonly number[] }, target: readonly number[]) =>
    countReusableTokens(fixedStates, conversation.ids, target)

  function recall(target: readonly number[]): number {
    const reusable = countReusable({ ids }, target)
    const other = findOther(target, reusable)
    const earlier = conversations.take(target, other ? countReusable(other, target) : reusable)
    if (ids.length - countCommonPrefix(ids, target) >= worthParkingTokens) park()
    const recalled = earlier
      ? recallEarlier(earlier, target)
      : other
        ? copyOther(other, countReusable(other, target), target.length + 1)
        : reusable
    if (!earlier && !other) rewind(reusable)
    // For the whole prompt at once: each growth copies the cache, and frees the recorded steps.
    reserve(target.length + 1)
    checkpoints = fixedStates.length > 0 && canSplitRuns ? chooseCheckpoints(recalled, target.length) : []
    return recalled
  }

  /** Returns the other conversation that has computed the most of `target`, if it has computed more than `moreThan`. */
  function findOther(target: readonly number[], moreThan: number): GpuRow | undefined {
    // The states of a conversation that goes on are those after its newest token.
    if (fixedStates.length > 0) return undefined
    let best: GpuRow | undefined
    let longest = moreThan
    for (const other of shared.rows) {
      const common = other === row ? 0 : countReusable(other, target)
      if (common > longest) [best, longest] = [other, common]
    }
    return best
  }

  function copyOther(other: GpuRow, length: number, reservedTokens: number): number {
    rewind(0)
    reserve(Math.max(length, reservedTokens))
    copyCache(device, caches, other.cache, cache, length)
    ids.push(...other.ids.slice(0, length))
    return length
  }

  function recallEarlier(earlier: Conversation<ParkedCache>, target: readonly number[]): number {
    rewind(0)
    reserve(Math.max(earlier.ids.length, target.length + 1))
    copyCache(device, caches, earlier.cache.cache, cache, earlier.ids.length)
    states.restore(earlier.cache.states)
    const recalled = countReusable(earlier, target)
    if (earlier.ids.length - recalled >= worthParkingTokens) conversations.park(earlier)
    else freeParked(earlier.cache)
    ids.push(...earlier.ids.slice(0, recalled))
    return recalled
  }

  function recallLogits(target: readonly number[]): boolean {
    const isSame =
      logitsLength === ids.length &&
      ids.length === target.length &&
      countCommonPrefix(ids, target) === ids.length
    if (isSame) rewind(ids.length)
    return isSame
  }

  function copyStates(target: readonly number[]): StateCopy {
    recall(fixedStates.length > 0 ? cutToCheckpoint(target) : target)
    const { length } = ids
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
    if (ids.length - countCommonPrefix(ids, copiedIds) >= worthParkingTokens) park()
    rewind(0)
    reserve(Math.max(copiedIds.length, reservedTokens))
    writeCache(device, caches, pieces, cache, copiedIds.length)
    states.write(pieces.slice(caches.length))
    ids.push(...copiedIds)
  }

  const decoder: Decoder = {
    get execution() {
      return shared.canReplay ? 'replayed' : 'fixed-cache'
    },
    lost: device.lost.then(describeLoss),
    prefillChunkTokens: model.hasScoreMatrix ? scoreMatrixChunkTokens : prefillChunkTokens,
    prefillRules,
    recall,
    recallLogits,
    countCurrent: (target) => countReusable({ ids }, target),
    countReusable(target) {
      const own = countReusable({ ids }, target)
      const other = findOther(target, own)
      return Math.max(other ? countReusable(other, target) : own, conversations.countReusable(target))
    },
    stateFormat: JSON.stringify([model.graphHash, caches, fixedStates]),
    stateSchema: { caches, fixedStates },
    copyStates,
    restoreStates,
    prefill,
    startAnswer(sampling, seed, promptIds, answerIds, count) {
      sampler.start(sampling, seed, promptIds, answerIds)
      ahead = undefined
      rankCount = count
      if (count === undefined) return
      gpuRanking ??= createGpuRanking(device, samplerBuffers)
      gpuRanking.setCount(count)
    },
    next,
    endAnswer: () => scheduler.leave(row),
    fork: () => openRow(shared).decoder,
    append: sampler.addTokens,
    readRanking: () => ranking!,
    readLogits: tensors.readLogits,
    async release() {
      await session.release()
      conversations.clear()
      for (const each of shared.rows) each.destroy()
      device.destroy()
    },
  }

  async function test(): Promise<void> {
    await testReplay({
      device,
      hasFixedStates: fixedStates.length > 0,
      get canReplay() {
        return shared.canReplay
      },
      set canReplay(value) {
        shared.canReplay = value
      },
      reset: () => rewind(0),
      prefill,
      startAnswer: (promptIds) => sampler.start(greedy, 0, promptIds),
      next: (position) => next(position, false),
    })
    if (model.canCapture && !shared.canReplay && shared.pipelines.size > 0)
      throw new WrongFusionError('Steps with fused attention failed the self-test.')
    if (model.referenceSteps) {
      const checked = {
        device,
        caches,
        logits: { buffer: logits, type: logitsType, positions: 1, vocabulary },
        get cache() {
          return cache
        },
        resize,
        canReplay: shared.canReplay,
        recording: readRecorded(recordings[states.current]),
        resetStates: () => states.reset(),
        capture(id: number, length: number) {
          writeStep(id, length)
          return capture()
        },
        replay(dispatches: readonly Dispatch[], id: number, length: number) {
          writeStep(id, length)
          replayAlone(dispatches)
        },
        run: runUncaptured,
      }
      await checkSteps(checked, model.referenceSteps)
    }
  }

  const row: GpuRow = {
    ids,
    get cache() {
      return cache
    },
    decoder,
    startStep,
    test,
    destroy() {
      cache.destroy()
      states.destroy()
      sampler.destroy()
      gpuRanking?.destroy()
      tensors.destroy()
      for (const buffer of readbacks) buffer.destroy()
    },
  }
  shared.rows.push(row)
  return row
}

/** A decode step with the current cache. `captured` is missing if the step was captured with an earlier cache. */
interface RecordedStep {
  readonly fused?: FusedStep | undefined
  readonly captured?: DecodeStep['captured']
}

/** Returns the step if it was captured with the current cache. */
function readRecorded({ fused, captured }: RecordedStep = {}): DecodeStep | undefined {
  return captured && { captured, fused }
}

/** The KV cache and the states of an earlier conversation. */
interface ParkedCache {
  readonly cache: FixedCache
  readonly states: SavedStates
}

function freeParked({ cache, states }: ParkedCache): void {
  cache.destroy()
  states.destroy()
}

interface SubmittedStep {
  readonly position: number
  /**
   * Resolves with what was read back: the sampled token, or `noToken` if the logits are invalid, as an int64; then the
   * ranking, if the answer has one.
   */
  readonly words: Promise<Uint32Array<ArrayBuffer>>
}
