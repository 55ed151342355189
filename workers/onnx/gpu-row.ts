import { splitAtCheckpoints } from './checkpoints.js'
import { checkSteps } from './check-steps.js'
import { createComputedTokens, type ParkedCache } from './computed-tokens.js'
import type { Conversations } from './conversations.js'
import { createInvalidLogitsError, type Decoder, type FindMask } from './decoder.js'
import type { Dispatch } from './dispatch-recorder.js'
import type { FixedCache } from './fixed-cache.js'
import { describeLoss } from './gpu-device.js'
import type { GpuModel } from './gpu-model.js'
import { createGpuSteps, submitDispatches, type SharedSteps } from './gpu-steps.js'
import type { Ranking } from './ranking.js'
import { greedy } from './sampler.js'
import { noToken } from './sampler-arithmetic.js'
import { testReplay } from './self-test.js'
import { WrongFusionError } from './step-check.js'
import { createStepSampling, type SampledToken } from './step-sampling.js'
import type { StepScheduler } from './step-scheduler.js'

/** Large, since each run costs as much CPU time as an uncaptured decode step, no matter how many tokens it computes. */
const prefillChunkTokens = 1024
/** The number for a graph that computes a matrix of scores, whose size is a multiple of this number. */
const scoreMatrixChunkTokens = 128

/** What the conversations of a model share. */
export interface SharedModel extends SharedSteps {
  readonly model: GpuModel
  readonly rows: GpuRow[]
  readonly conversations: Conversations<ParkedCache>
  readonly scheduler: StepScheduler<GpuRow>
}

/** A conversation: its cache, and its decoder. */
export interface GpuRow {
  readonly ids: readonly number[]
  readonly cache: FixedCache
  readonly decoder: Decoder
  /** Starts the step that the conversation has requested from the scheduler. */
  startStep(): Promise<void>
  /** Runs the self-test, and compares the steps with `referenceSteps`. @throws WrongStepError */
  test(): Promise<void>
  destroy(): void
}

interface SubmittedStep {
  readonly position: number
  readonly sampled: Promise<SampledToken>
}

/** Opens another conversation. */
export function openRow(shared: SharedModel): GpuRow {
  const { model, conversations, scheduler } = shared
  const { device, session, caches, fixedStates, vocabulary, logitsType, prefillRules } = model
  const steps = createGpuSteps(model, shared)
  const { tensors, states } = steps
  const { logits, tokenId } = tensors
  const sampling = createStepSampling(device, { logits, logitsType, vocabulary, tokenId })
  const listOthers = () => shared.rows.filter((other) => other !== row)
  const computed = createComputedTokens(model, steps, conversations, listOthers)
  const { ids } = computed
  /** The ranking of the step that `next` returned last. */
  let ranking: Ranking | undefined
  /** The token that was sampled and stored in `tokenId`, but that no step has computed yet. */
  let pending: number | undefined
  /** The newest step, if it was submitted before `next` requested it. */
  let ahead: SubmittedStep | undefined
  /** The step that is requested from the scheduler. */
  let request: { readonly position: number; readonly findMask: FindMask | undefined } | undefined
  /** The step that the scheduler has started. */
  let started: SubmittedStep | undefined

  /** Forgets the sampled token that is not computed. */
  function dropPending(): void {
    pending = undefined
    ahead = undefined
  }

  /** Computes `newIds` in one run, or in several runs if there are checkpoints between the first and the last token. */
  async function prefill(newIds: readonly number[]): Promise<void> {
    const start = ids.length
    const { checkpoints } = computed
    for (const stop of splitAtCheckpoints(checkpoints, start, start + newIds.length)) {
      if (checkpoints.includes(ids.length)) computed.park()
      await scheduler.run(() => compute(newIds.slice(ids.length - start, stop - start)))
    }
  }

  async function compute(newIds: readonly number[]): Promise<void> {
    const length = ids.length + newIds.length
    steps.reserve(length, ids.length)
    computed.logitsLength = undefined
    await steps.run(newIds, ids.length)
    computed.add(newIds, length)
    computed.logitsLength = length
    dropPending()
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
    const length = ids.length + 1
    steps.reserve(length, ids.length)
    computed.logitsLength = undefined
    tensors.writeLength(length)
    const dispatches = steps.chooseDispatches(length)
    if (!dispatches) await steps.record()
    // Called after the step: if the step fails, the token must not count as computed.
    computed.add([pending], length)
    // The dispatches are submitted before anything else reads the logits.
    computed.logitsLength = length
    return dispatches ?? []
  }

  /** Computes the pending token, and samples the requested one. Finds its mask while the step runs. */
  async function startStep(): Promise<void> {
    const { position, findMask } = request!
    const dispatches = await advance()
    if (findMask) {
      if (dispatches.length > 0) submitDispatches(device, dispatches)
      sampling.setMask(await findMask())
    }
    started = submit(position, findMask ? [] : dispatches)
  }

  function submit(position: number, dispatches: readonly Dispatch[]): SubmittedStep {
    return { position, sampled: ignoreFailure(sampling.submit(position, dispatches)) }
  }

  async function requestStep(position: number, findMask: FindMask | undefined): Promise<SubmittedStep> {
    request = { position, findMask }
    await scheduler.step(row)
    return started!
  }

  /** Starts the next step before the current token is read back, if a replay is enough for this step. */
  function startAhead(position: number): SubmittedStep | undefined {
    const length = ids.length + 1
    const dispatches = steps.chooseDispatches(length)
    const canStart = shared.canReplay && length <= steps.cache.capacity
    if (!dispatches || !canStart) return undefined
    tensors.writeLength(length)
    computed.logitsLength = length
    return submit(position, dispatches)
  }

  async function next(position: number, willContinue: boolean, findMask?: FindMask): Promise<number> {
    const step = ahead?.position === position ? ahead : await requestStep(position, findMask)
    ahead = willContinue ? startAhead(position + 1) : undefined
    const sampled = await step.sampled
    ranking = sampled.ranking
    const { id } = sampled
    if (id === noToken) throw createInvalidLogitsError()
    if (ahead) computed.add([id], ids.length + 1)
    pending = ahead ? undefined : id
    sampling.noteSampled(id)
    return id
  }

  const decoder: Decoder = {
    get execution() {
      return shared.canReplay ? 'replayed' : 'fixed-cache'
    },
    lost: device.lost.then(describeLoss),
    prefillChunkTokens: model.hasScoreMatrix ? scoreMatrixChunkTokens : prefillChunkTokens,
    prefillRules,
    recall(target) {
      dropPending()
      return computed.recall(target)
    },
    recallLogits(target) {
      const isSame = computed.hasLogits(target)
      if (isSame) dropPending()
      return isSame
    },
    countCurrent: computed.countCurrent,
    countReusable: computed.countReusable,
    stateFormat: JSON.stringify([model.graphHash, caches, fixedStates]),
    stateSchema: { caches, fixedStates },
    copyStates(target) {
      dropPending()
      return computed.copyStates(target)
    },
    restoreStates(copiedIds, pieces) {
      dropPending()
      computed.restoreStates(copiedIds, pieces)
    },
    prefill,
    startAnswer(options, seed, promptIds, answerIds, rankCount) {
      sampling.start(rankCount, options, seed, promptIds, answerIds)
      ahead = undefined
    },
    next,
    endAnswer: () => scheduler.leave(row),
    fork: () => openRow(shared).decoder,
    append: sampling.addTokens,
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
      reset() {
        dropPending()
        computed.rewind(0)
      },
      prefill,
      startAnswer: (promptIds) => sampling.start(undefined, greedy, 0, promptIds),
      next: (position) => next(position, false),
    })
    if (model.canCapture && !shared.canReplay && shared.pipelines.size > 0)
      throw new WrongFusionError('Steps with fused attention failed the self-test.')
    if (model.referenceSteps) await checkSteps(openCheck(), model.referenceSteps)
  }

  /** Returns what the check of the steps needs. */
  function openCheck(): Parameters<typeof checkSteps>[0] {
    const writeStep = (id: number, length: number) => {
      tensors.writeTokenId(id)
      tensors.writeLength(length)
    }
    return {
      device,
      caches,
      logits: { buffer: logits, type: logitsType, positions: 1, vocabulary },
      get cache() {
        return steps.cache
      },
      resize: (capacity) => steps.resize(capacity, ids.length),
      canReplay: shared.canReplay,
      recording: steps.recording,
      resetStates: states.reset,
      capture(id, length) {
        writeStep(id, length)
        return steps.capture()
      },
      replay(dispatches, id, length) {
        writeStep(id, length)
        submitDispatches(device, dispatches)
      },
      run: steps.run,
    }
  }

  const row: GpuRow = {
    ids,
    get cache() {
      return steps.cache
    },
    decoder,
    startStep,
    test,
    destroy() {
      steps.destroy()
      sampling.destroy()
    },
  }
  shared.rows.push(row)
  return row
}

/** A step whose answer was left may fail. */
function ignoreFailure<Result>(promise: Promise<Result>): Promise<Result> {
  promise.catch(() => {})
  return promise
}
