import type { InferenceSession, Tensor } from 'onnxruntime-web'
import { countCacheBytes, type CacheInput } from './cache-inputs.js'
import { countCommon, createConversations, worthParkingTokens } from './conversations.js'
import { notANumber, type Decoder } from './decoder.js'
import { recordDispatches, replayDispatches, type Recording } from './dispatch-recorder.js'
import { copyCache, createFixedCache, createStorage, type FixedCache } from './fixed-cache.js'
import { describeLoss } from './gpu-device.js'
import { createGpuSampler } from './gpu-sampler.js'
import { sequenceInputs } from './rewrite-graph.js'
import { decodeFloat16 } from './float16.js'
import { greedy } from './sampler.js'
import { noToken } from './sampler-arithmetic.js'
import type { OnnxRuntime } from './session.js'
import { createReadback, readToken } from './token-readback.js'
import { bufferUsage, mapMode } from './webgpu-flags.js'

/** What a decoder on the GPU is made of. */
export interface GpuModel {
  readonly runtime: OnnxRuntime
  readonly device: GPUDevice
  /** Of a rewritten graph, with graph capture where `canCapture`. */
  readonly session: InferenceSession
  readonly caches: readonly CacheInput[]
  readonly vocabulary: number
  readonly logitsType: 'float32' | 'float16'
  readonly contextLength: number
  /** The first size of the KV cache, in tokens; it doubles when it is full. */
  readonly firstCapacity: number
  /** For the caches of earlier conversations. */
  readonly conversationCacheBytes: number
  readonly canCapture: boolean
}

/** Runs outside any capture: with another id, ONNX Runtime would replay this prompt's shape later. */
const uncaptured = { extra: { gpu_graph_id: '-1' } }

/** ONNX Runtime runs a graph as usual, then captures it, then replays what it captured. */
const runsBeforeReplay = 2

/** Each run costs the host what a decode step costs uncaptured, however many tokens it has: so not too few. */
const prefillChunkTokens = 1024

/**
 * Prompt and answer of the self-test, which also compiles the shaders of a first prompt, of one behind a cache, and of
 * a step. The two prompts have these many tokens each: no multiple of a kernel's tile, whose shaders are others.
 */
const selfTest = { promptTokens: 20, answerTokens: 3 }

/**
 * A decoder whose tokens never leave the GPU but as eight bytes: the KV cache keeps its place, the sampler is a kernel
 * that writes the next input, and a decode step is the dispatches of ONNX Runtime's own captured run, issued again
 * together with the sampler's in one submit.
 *
 * Ends ready to use: shaders are compiled, and the replay has given the tokens that ONNX Runtime gives uncaptured.
 */
export async function createGpuDecoder(model: GpuModel): Promise<Decoder> {
  const { runtime, device, session, caches, vocabulary, logitsType } = model
  const { Tensor } = runtime
  const tokenId = createStorage(device, 8)
  const lastIndex = createStorage(device, 4)
  const total = createStorage(device, 4)
  const logits = createStorage(device, vocabulary * (logitsType === 'float16' ? 2 : 4))
  // One for the token that is read back, one for the step that is on its way meanwhile.
  const readbacks = [createReadback(device), createReadback(device)] as const
  const sampler = createGpuSampler(device, { logits, logitsType, vocabulary, tokenId })
  const stepInputs = {
    input_ids: Tensor.fromGpuBuffer(tokenId, { dataType: 'int64', dims: [1, 1] }),
    [sequenceInputs.lastIndex]: Tensor.fromGpuBuffer(lastIndex, { dataType: 'int32', dims: [1, 1] }),
    [sequenceInputs.total]: Tensor.fromGpuBuffer(total, { dataType: 'int32', dims: [1] }),
  }
  const logitsOutput = {
    logits: Tensor.fromGpuBuffer(logits, { dataType: logitsType, dims: [1, 1, vocabulary] }),
  }
  let cache = createFixedCache(runtime, device, caches, Math.min(model.firstCapacity, model.contextLength))
  const conversations = createConversations<FixedCache>(model.conversationCacheBytes, (parked) =>
    parked.destroy(),
  )
  const ids: number[] = []
  /** Chosen, and in `tokenId`, but in no step yet. */
  let pending: number | undefined
  /** The newest step, begun before it was asked for. */
  let ahead: Step | undefined
  /** Settles when no step reads back. */
  let idle: Promise<unknown> = Promise.resolve()
  /** Bound to the present cache's buffers: a larger cache needs a new one. */
  let recording: Recording | undefined
  let canReplay = model.canCapture
  let graphId = 0

  function reserve(length: number): void {
    if (length <= cache.capacity) return
    let capacity = cache.capacity
    while (capacity < length) capacity *= 2
    const larger = createFixedCache(runtime, device, caches, Math.min(capacity, model.contextLength))
    copyCache(device, caches, cache, larger, ids.length)
    cache.destroy()
    cache = larger
    recording = undefined
  }

  function run(inputs: Record<string, Tensor>, options: InferenceSession.RunOptions): Promise<unknown> {
    return session.run({ ...inputs, ...cache.feeds }, { ...logitsOutput, ...cache.fetches }, options)
  }

  async function prefill(newIds: readonly number[]): Promise<void> {
    const length = ids.length + newIds.length
    reserve(length)
    await run(
      {
        input_ids: new Tensor('int64', BigInt64Array.from(newIds, BigInt), [1, newIds.length]),
        [sequenceInputs.lastIndex]: new Tensor('int32', Int32Array.of(length - 1), [1, 1]),
        [sequenceInputs.total]: new Tensor('int32', Int32Array.of(length), [1]),
      },
      uncaptured,
    )
    ids.push(...newIds)
    pending = undefined
    ahead = undefined
  }

  /** Has ONNX Runtime capture the pending step, and notes its replay: each of these runs computes the same step. */
  async function record(): Promise<Recording | undefined> {
    graphId += 1
    const captured = { extra: { gpu_graph_id: String(graphId) } }
    for (let count = 0; count < runsBeforeReplay; count += 1) await run(stepInputs, captured)
    const noted = await recordDispatches(device, () => run(stepInputs, captured))
    return noted.bindGroupsMade === 0 && noted.otherCommands === 0 && noted.dispatches.length > 0
      ? noted
      : undefined
  }

  /** Computes the pending token, if there is one. @returns the dispatches that are left to do it */
  async function advance(): Promise<Recording | undefined> {
    if (pending === undefined) return undefined
    if (!canReplay) {
      await prefill([pending])
      return undefined
    }
    reserve(ids.length + 1)
    writeLength(ids.length + 1)
    const known = recording
    if (!known) {
      recording = await record()
      canReplay = recording !== undefined
    }
    // Only now: a step that fails must not count as computed.
    ids.push(pending)
    return known
  }

  function writeLength(length: number): void {
    device.queue.writeBuffer(lastIndex, 0, Int32Array.of(length - 1))
    device.queue.writeBuffer(total, 0, Int32Array.of(length))
  }

  /** Submits what chooses the token at `position`, behind `dispatches`. */
  function submit(position: number, dispatches: Recording | undefined): Step {
    const readback = readbacks[position % 2 === 0 ? 0 : 1]
    const encoder = device.createCommandEncoder()
    const pass = encoder.beginComputePass()
    if (dispatches) replayDispatches(pass, dispatches)
    sampler.encode(pass, position)
    pass.end()
    encoder.copyBufferToBuffer(tokenId, 0, readback, 0, 8)
    device.queue.submit([encoder.finish()])
    const id = readToken(readback)
    idle = id.catch(() => {})
    return { position, id }
  }

  async function begin(position: number): Promise<Step> {
    // A step that nobody came for may still read back.
    await idle
    const dispatches = await advance()
    return submit(position, dispatches)
  }

  /** Begins the step behind one whose token is not here yet, where that needs nothing but a replay. */
  function beginAhead(position: number): Step | undefined {
    if (!canReplay || !recording || ids.length === cache.capacity) return undefined
    writeLength(ids.length + 1)
    return submit(position, recording)
  }

  async function next(position: number, continues: boolean): Promise<number> {
    const step = ahead?.position === position ? ahead : await begin(position)
    ahead = continues ? beginAhead(position + 1) : undefined
    const id = await step.id
    if (id === noToken) throw notANumber()
    if (ahead) ids.push(id)
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

  /** Copies the conversation away: the cache itself keeps its place, since the recording is bound to it. */
  function park(): void {
    const sizeBytes = countCacheBytes(caches, ids.length)
    if (sizeBytes > model.conversationCacheBytes) return
    const copy = createFixedCache(runtime, device, caches, ids.length)
    copyCache(device, caches, cache, copy, ids.length)
    conversations.park({ ids: [...ids], cache: copy, sizeBytes })
  }

  function recall(target: readonly number[]): number {
    const common = countCommon(ids, target)
    const earlier = conversations.take(target, common)
    if (ids.length - common >= worthParkingTokens) park()
    if (!earlier) {
      rewind(common)
      return common
    }
    rewind(0)
    reserve(earlier.ids.length)
    copyCache(device, caches, earlier.cache, cache, earlier.ids.length)
    const recalled = countCommon(earlier.ids, target)
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
    sampler.start(greedy, 0, ids)
    const tokens: number[] = []
    while (tokens.length < selfTest.answerTokens) tokens.push(await next(tokens.length, false))
    rewind(0)
    return tokens.join()
  }

  /** @returns the self-test's tokens by replay, or undefined where that does not work on this device */
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

  return {
    get execution() {
      return canReplay ? 'replayed' : 'fixed-cache'
    },
    lost: device.lost.then(describeLoss),
    prefillChunkTokens,
    recall,
    prefill,
    startAnswer(sampling, seed, promptIds, saidIds) {
      sampler.start(sampling, seed, promptIds, saidIds)
      ahead = undefined
    },
    next,
    readLogits,
    async release() {
      await session.release()
      cache.destroy()
      conversations.clear()
      sampler.destroy()
      for (const buffer of [tokenId, lastIndex, total, logits, ...readbacks]) buffer.destroy()
      device.destroy()
    },
  }
}

/** A step that is submitted. */
interface Step {
  readonly position: number
  /** `noToken` where there was no number to choose by. */
  readonly id: Promise<number>
}
