import type { InferenceSession, Tensor } from 'onnxruntime-web'
import {
  countCacheBytes,
  countElementBytes,
  createPositions,
  type CacheInput,
  type StateSchema,
} from './state-schema.js'
import { countCommonPrefix, createConversations, worthParkingTokens } from './conversations.js'
import { createInvalidLogitsError, type Decoder } from './decoder.js'
import { checkSteps } from './check-steps.js'
import { recordDispatches, replayDispatches, type CapturedStep } from './dispatch-recorder.js'
import { copyCache, createFixedCache, createStorage, type FixedCache } from './fixed-cache.js'
import { describeLoss } from './gpu-device.js'
import { createGpuSampler } from './gpu-sampler.js'
import { decodeFloat16 } from './float16.js'
import { graphInputs, logitsOutput } from './graph-names.js'
import { markTokens, type PrefillRules } from './prefill-rules.js'
import { chooseTable, type RotaryTables } from './rotary-tables.js'
import { greedy } from './sampler.js'
import { noToken } from './sampler-arithmetic.js'
import type { ReferenceStep } from './reference-steps.js'
import type { OnnxRuntime } from './session.js'
import { createReadback, readToken } from './token-readback.js'
import { bufferUsage, mapMode } from './webgpu-flags.js'

/** The parameters of `createGpuDecoder`. */
export interface GpuModel {
  readonly runtime: OnnxRuntime
  readonly device: GPUDevice
  /** A session of a rewritten graph. Its graph capture is enabled if `canCapture` is true. */
  readonly session: InferenceSession
  readonly caches: readonly CacheInput[]
  readonly vocabulary: number
  readonly logitsType: 'float32' | 'float16'
  readonly contextLength: number
  /** The initial capacity of the KV cache, in tokens. It doubles when the cache is full. */
  readonly firstCapacity: number
  /** The budget for the KV caches of earlier conversations, in bytes. */
  readonly conversationCacheBytes: number
  readonly canCapture: boolean
  readonly prefillRules: PrefillRules
  readonly positionRows: StateSchema['positionRows']
  readonly rotaryTables: readonly RotaryTables[]
  /** True if the graph computes a matrix of [heads, new tokens, total tokens]. Then a run has fewer tokens. */
  readonly hasScoreMatrix: boolean
  /** The steps that must equal those of the exported graph; undefined if they were checked at an earlier load. */
  readonly referenceSteps?: readonly ReferenceStep[]
}

/** Disables graph capture for one run. With any other id, ONNX Runtime would later replay a run of this prompt's shape. */
const uncaptured = { extra: { gpu_graph_id: '-1' } }

/** Large, since each run costs as much CPU time as an uncaptured decode step, no matter how many tokens it computes. */
const prefillChunkTokens = 1024
/** The number for a graph that computes a matrix of scores, whose size is a multiple of this number. */
const scoreMatrixChunkTokens = 128

/**
 * The sizes of the self-test. The self-test also compiles the shaders for a first prompt, for a prompt after a cache, and
 * for a decode step. Each of its two prompts has `promptTokens` tokens. This number is not a multiple of a kernel's tile
 * size, since a multiple would use other shaders.
 */
const selfTest = { promptTokens: 20, answerTokens: 3 }

/**
 * Creates a decoder that reads back only eight bytes per token. The KV cache stays in fixed GPU buffers. The sampler is a
 * GPU kernel that writes the next input of the graph. A decode step issues the recorded dispatches of a captured ONNX
 * Runtime run and the dispatches of the sampler in one submit.
 *
 * When the promise resolves, the shaders are compiled, the self-test has compared the replay with uncaptured runs, and
 * `checkSteps` has compared the steps with `referenceSteps`.
 * @throws WrongStepError if a step differs from the exported graph's, or if replayed steps cannot be checked
 */
export async function createGpuDecoder(model: GpuModel): Promise<Decoder> {
  const {
    runtime,
    device,
    session,
    caches,
    vocabulary,
    logitsType,
    prefillRules,
    positionRows,
    rotaryTables,
  } = model
  const { Tensor } = runtime
  const tokenId = createStorage(device, 8)
  const lastIndex = createStorage(device, 4)
  const total = createStorage(device, 4)
  const logits = createStorage(device, vocabulary * (logitsType === 'float16' ? 2 : 4))
  // One buffer for the token that is being read back, and one for the step that runs at the same time.
  const readbacks = [createReadback(device), createReadback(device)] as const
  const sampler = createGpuSampler(device, { logits, logitsType, vocabulary, tokenId })
  const hasPositions = session.inputNames.includes(graphInputs.positionIds)
  const [firstPositions, positionDims] = createPositions(positionRows, 0, 1)
  const positions = createStorage(device, firstPositions.byteLength)
  const tables = rotaryTables.map((table) => {
    const { input, type, width, short, long } = table
    const bytes = Math.max(short.byteLength, long.byteLength)
    const buffer = createStorage(device, bytes)
    const dims = [bytes / (width * countElementBytes(type)), width]
    return { table, buffer, feed: [input, Tensor.fromGpuBuffer(buffer, { dataType: type, dims })] as const }
  })
  const tableFeeds = Object.fromEntries(tables.map(({ feed }) => feed))
  const stepInputs = {
    ...(hasPositions && {
      [graphInputs.positionIds]: Tensor.fromGpuBuffer(positions, { dataType: 'int64', dims: positionDims }),
    }),
    [graphInputs.tokenIds]: Tensor.fromGpuBuffer(tokenId, { dataType: 'int64', dims: [1, 1] }),
    [graphInputs.lastIndex]: Tensor.fromGpuBuffer(lastIndex, { dataType: 'int32', dims: [1, 1] }),
    [graphInputs.totalLength]: Tensor.fromGpuBuffer(total, { dataType: 'int32', dims: [1] }),
  }
  const stepOutputs = {
    [logitsOutput]: Tensor.fromGpuBuffer(logits, { dataType: logitsType, dims: [1, 1, vocabulary] }),
  }
  let cache = createFixedCache(runtime, device, caches, Math.min(model.firstCapacity, model.contextLength))
  const conversations = createConversations<FixedCache>(model.conversationCacheBytes, (parked) =>
    parked.destroy(),
  )
  /** The tokens that are computed into the cache, marked by `markTokens`. */
  const ids: number[] = []
  /** The token that was sampled and stored in `tokenId`, but that no step has computed yet. */
  let pending: number | undefined
  /** The newest step, if it was submitted before `next` requested it. */
  let ahead: SubmittedStep | undefined
  /** Resolves when no token is being read back. */
  let idle: Promise<unknown> = Promise.resolve()
  /** The recorded decode step. It is bound to the buffers of the current cache, so a larger cache needs a new recording. */
  /** True if the buffers have the second tables of rotary factors, undefined if they are empty. */
  let hasLongTables: boolean | undefined
  let recording: CapturedStep | undefined
  let canReplay = model.canCapture
  let graphId = 0

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
    recording = undefined
  }

  function run(inputs: Record<string, Tensor>, options: InferenceSession.RunOptions): Promise<unknown> {
    return session.run(
      { ...inputs, ...tableFeeds, ...cache.feeds },
      { ...stepOutputs, ...cache.fetches },
      options,
    )
  }

  /** Computes `newIds` after `cachedTokens` tokens, without capture. */
  function runUncaptured(newIds: readonly number[], cachedTokens: number): Promise<unknown> {
    const length = cachedTokens + newIds.length
    selectTables(length)
    return run(
      {
        ...(hasPositions && {
          [graphInputs.positionIds]: new Tensor(
            'int64',
            ...createPositions(positionRows, cachedTokens, newIds.length),
          ),
        }),
        [graphInputs.tokenIds]: new Tensor('int64', BigInt64Array.from(newIds, BigInt), [1, newIds.length]),
        [graphInputs.lastIndex]: new Tensor('int32', Int32Array.of(length - 1), [1, 1]),
        [graphInputs.totalLength]: new Tensor('int32', Int32Array.of(length), [1]),
      },
      uncaptured,
    )
  }

  async function prefill(newIds: readonly number[]): Promise<void> {
    const length = ids.length + newIds.length
    reserve(length)
    await runUncaptured(newIds, ids.length)
    ids.push(...markTokens(prefillRules, newIds, length))
    pending = undefined
    ahead = undefined
  }

  /** Adds to `ids` a token that a decode step computes. */
  function addComputed(id: number): void {
    ids.push(...markTokens(prefillRules, [id], ids.length + 1))
  }

  /**
   * Makes ONNX Runtime capture the step whose inputs are in the buffers, and records its replay. Both runs compute the same
   * step. The first run captures it, and the later ones replay it.
   * @returns undefined if the recorded dispatches are not enough to repeat the step
   */
  async function capture(): Promise<CapturedStep | undefined> {
    graphId += 1
    const runStep = () => run(stepInputs, { extra: { gpu_graph_id: String(graphId) } })
    const step = {
      capture: await recordDispatches(device, runStep),
      replay: await recordDispatches(device, runStep),
    }
    const { bindGroups, otherCommands, dispatches } = step.replay
    return bindGroups.size === 0 && otherCommands === 0 && dispatches.length > 0 ? step : undefined
  }

  /**
   * Computes the pending token, if there is one.
   * @returns the recorded dispatches that the caller must submit to compute the token; undefined if no submit is needed
   */
  async function advance(): Promise<CapturedStep | undefined> {
    if (pending === undefined) return undefined
    if (!canReplay) {
      await prefill([pending])
      return undefined
    }
    reserve(ids.length + 1)
    writeLength(ids.length + 1)
    const known = recording
    if (!known) {
      recording = await capture()
      canReplay = recording !== undefined
    }
    // Called after the step: if the step fails, the token must not count as computed.
    addComputed(pending)
    return known
  }

  /** Writes the tables of rotary factors for a total length into the buffers that the graph reads. */
  function selectTables(length: number): void {
    const isLong = length > prefillRules.rotarySwitch
    if (isLong === hasLongTables) return
    for (const { table, buffer } of tables)
      device.queue.writeBuffer(buffer, 0, chooseTable(table, prefillRules.rotarySwitch, length))
    hasLongTables = isLong
  }

  function writeLength(length: number): void {
    selectTables(length)
    device.queue.writeBuffer(positions, 0, createPositions(positionRows, length - 1, 1)[0])
    device.queue.writeBuffer(lastIndex, 0, Int32Array.of(length - 1))
    device.queue.writeBuffer(total, 0, Int32Array.of(length))
  }

  function writeStep(id: number, length: number): void {
    device.queue.writeBuffer(tokenId, 0, BigInt64Array.of(BigInt(id)))
    writeLength(length)
  }

  /** Submits a replay of `step` without sampling. */
  function replayAlone(step: CapturedStep): void {
    const encoder = device.createCommandEncoder()
    const pass = encoder.beginComputePass()
    replayDispatches(pass, step.replay)
    pass.end()
    device.queue.submit([encoder.finish()])
  }

  /** Submits a replay of `step`, and then the dispatches that sample the token at `position`. */
  function submit(position: number, step: CapturedStep | undefined): SubmittedStep {
    const readback = readbacks[position % 2 === 0 ? 0 : 1]
    const encoder = device.createCommandEncoder()
    const pass = encoder.beginComputePass()
    if (step) replayDispatches(pass, step.replay)
    sampler.encode(pass, position)
    pass.end()
    encoder.copyBufferToBuffer(tokenId, 0, readback, 0, 8)
    device.queue.submit([encoder.finish()])
    const id = readToken(readback)
    idle = id.catch(() => {})
    return { position, id }
  }

  async function startStep(position: number): Promise<SubmittedStep> {
    // An abandoned step may still be reading back its token.
    await idle
    const step = await advance()
    return submit(position, step)
  }

  /** Starts the next step before the current token is read back, if a replay of `recording` is enough for this step. */
  function startAhead(position: number): SubmittedStep | undefined {
    if (!canReplay || !recording || ids.length === cache.capacity) return undefined
    writeLength(ids.length + 1)
    return submit(position, recording)
  }

  async function next(position: number, willContinue: boolean): Promise<number> {
    const step = ahead?.position === position ? ahead : await startStep(position)
    ahead = willContinue ? startAhead(position + 1) : undefined
    const id = await step.id
    if (id === noToken) throw createInvalidLogitsError()
    if (ahead) addComputed(id)
    pending = ahead ? undefined : id
    return id
  }

  async function readLogits(): Promise<Float32Array> {
    const copy = device.createBuffer({
      size: logits.size,
      usage: bufferUsage.mapRead | bufferUsage.copyTarget,
    })
    const encoder = device.createCommandEncoder()
    encoder.copyBufferToBuffer(logits, 0, copy, 0, logits.size)
    device.queue.submit([encoder.finish()])
    await copy.mapAsync(mapMode.read)
    const bytes = copy.getMappedRange()
    const values =
      logitsType === 'float16'
        ? Float32Array.from(new Uint16Array(bytes, 0, vocabulary), decodeFloat16)
        : new Float32Array(bytes, 0, vocabulary).slice()
    copy.destroy()
    return values
  }

  function rewind(length: number): void {
    ids.length = length
    pending = undefined
    ahead = undefined
  }

  /** Parks a copy of the conversation. The cache itself cannot be parked, since the recording is bound to its buffers. */
  function park(): void {
    const sizeBytes = countCacheBytes(caches, ids.length)
    if (sizeBytes > model.conversationCacheBytes) return
    const copy = createFixedCache(runtime, device, caches, ids.length)
    copyCache(device, caches, cache, copy, ids.length)
    conversations.park({ ids: [...ids], cache: copy, sizeBytes })
  }

  function recall(target: readonly number[]): number {
    const common = countCommonPrefix(ids, target)
    const earlier = conversations.take(target, common)
    if (ids.length - common >= worthParkingTokens) park()
    if (!earlier) {
      rewind(common)
      return common
    }
    rewind(0)
    reserve(earlier.ids.length)
    copyCache(device, caches, earlier.cache, cache, earlier.ids.length)
    const recalled = countCommonPrefix(earlier.ids, target)
    if (earlier.ids.length - recalled >= worthParkingTokens) conversations.park(earlier)
    else earlier.cache.destroy()
    ids.push(...earlier.ids.slice(0, recalled))
    return recalled
  }

  async function answerSelfTest(): Promise<string> {
    rewind(0)
    const prompt = Array.from({ length: selfTest.promptTokens }, (_, index) => index)
    await prefill(prompt)
    await prefill(prompt)
    sampler.start(greedy, 0, [...prompt, ...prompt])
    const tokens: number[] = []
    while (tokens.length < selfTest.answerTokens) tokens.push(await next(tokens.length, false))
    rewind(0)
    return tokens.join()
  }

  /**
   * Runs the self-test with replay.
   * @returns the tokens of the answer, or undefined if replay does not work on this device
   */
  async function tryReplay(): Promise<string | undefined> {
    device.pushErrorScope('validation')
    const tokens = await answerSelfTest().catch(() => undefined)
    const error = await device.popErrorScope()
    return canReplay && error === null ? tokens : undefined
  }

  const replayed = canReplay ? await tryReplay() : undefined
  canReplay = false
  const computed = await answerSelfTest()
  canReplay = replayed === computed
  if (model.referenceSteps) {
    const checked = {
      device,
      caches,
      logits: { buffer: logits, type: logitsType, positions: 1, vocabulary },
      get cache() {
        return cache
      },
      resize,
      canReplay,
      recording,
      capture(id: number, length: number) {
        writeStep(id, length)
        return capture()
      },
      replay(step: CapturedStep, id: number, length: number) {
        writeStep(id, length)
        replayAlone(step)
      },
      run: runUncaptured,
    }
    await checkSteps(checked, model.referenceSteps)
  }

  return {
    get execution() {
      return canReplay ? 'replayed' : 'fixed-cache'
    },
    lost: device.lost.then(describeLoss),
    prefillChunkTokens: model.hasScoreMatrix ? scoreMatrixChunkTokens : prefillChunkTokens,
    prefillRules,
    recall,
    prefill,
    startAnswer(sampling, seed, promptIds, answerIds) {
      sampler.start(sampling, seed, promptIds, answerIds)
      ahead = undefined
    },
    next,
    readLogits,
    async release() {
      await session.release()
      cache.destroy()
      conversations.clear()
      sampler.destroy()
      for (const { buffer } of tables) buffer.destroy()
      for (const buffer of [tokenId, lastIndex, total, positions, logits, ...readbacks]) buffer.destroy()
      device.destroy()
    },
  }
}

interface SubmittedStep {
  readonly position: number
  /** Resolves with the sampled token, or with `noToken` if the logits are invalid. */
  readonly id: Promise<number>
}
