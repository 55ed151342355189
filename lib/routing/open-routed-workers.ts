import { refuse } from '../contract/check-options.js'
import { RivuletError, describeError } from '../contract/errors.js'
import type { Prompt } from '../contract/request.js'
import { keepWorker, type KeptWorker, type Recovery } from '../keep-worker.js'
import type { EngineWorkers, OpenWorkers } from '../loaded-engine.js'
import type { GenerationWorker } from '../resilient-events.js'
import type { Candidate, LoadedWorker, SkippedBackend } from '../start-worker.js'
import type { RouteReason } from '../transcript.js'
import { openWatched } from '../watch-progress.js'
import { chooseFirst, findLoadLimit, type RoutingPlan } from './choose-order.js'
import { race, type Racer } from './race.js'

/** A loaded backend. */
interface Lane {
  readonly isLocal: boolean
  readonly kept: KeptWorker
}

const isLocal = ({ backend }: Candidate) => backend.isServer !== true

/**
 * Loads all backends of a list, and keeps a worker for each.
 * @returns the workers, once the first of them is loaded
 * @throws RivuletError `backend-unavailable` if none can be loaded; `invalid-option` if all run in the same place; the reason of
 *   `signal`
 */
export async function openRoutedWorkers(
  plan: RoutingPlan,
  how: Recovery,
  canRecover: boolean,
  signal: AbortSignal | undefined,
): Promise<OpenWorkers> {
  if (new Set(how.candidates.map(isLocal)).size < 2)
    refuse('routing() needs a backend on the device and one on a server. Leave "route" out.', 'route')
  const limit = findLoadLimit(plan)
  const skipped: SkippedBackend[] = []
  const loaded: { readonly candidate: Candidate; readonly worker: LoadedWorker }[] = []
  let onLoaded: (candidate: Candidate, worker: LoadedWorker) => void = (candidate, worker) =>
    void loaded.push({ candidate, worker })

  const loading = how.candidates
    .filter((candidate) => {
      if (limit === undefined || !isLocal(candidate)) return true
      skipped.push({ name: candidate.backend.name, reason: `The limit "${limit}" of routing() excludes it.` })
      return false
    })
    .map(async (candidate) => {
      try {
        const worker = await how.start(without(how.candidates, candidate), signal)
        onLoaded(candidate, worker)
      } catch (error) {
        signal?.throwIfAborted()
        skipped.push({ name: candidate.backend.name, reason: describeError(error) })
        throw error
      }
    })
  const isDone = isLoadingDone(loading)
  await Promise.any(loading).catch((error: unknown) => {
    signal?.throwIfAborted()
    const reasons = skipped.map(({ name, reason }) => `${name}: ${reason}`)
    throw new RivuletError('backend-unavailable', `No backend can run here. ${reasons.join(' ')}`, {
      cause: error,
    })
  })

  return (disposed) => {
    const lanes: Lane[] = []
    onLoaded = (candidate, worker) => {
      if (disposed.aborted) return worker.connection.terminate(disposed.reason as RivuletError)
      const only = { ...how, candidates: [candidate], start: startOnly(how, candidate) }
      lanes.push({
        isLocal: isLocal(candidate),
        kept: keepWorker(worker, canRecover ? only : undefined, disposed),
      })
      // The engine reports the first one itself.
      if (lanes.length > 1) how.onLoad(worker.info)
    }
    for (const { candidate, worker } of loaded) onLoaded(candidate, worker)
    return createWorkers(plan, lanes, skipped, isDone)
  }
}

/** Returns a function that loads only one candidate. */
function startOnly({ start, candidates }: Recovery, candidate: Candidate): Recovery['start'] {
  const others = without(candidates, candidate)
  return (lost, signal) => start(new Set([...others, ...lost]), signal)
}

function without(candidates: readonly Candidate[], candidate: Candidate): ReadonlySet<Candidate> {
  return new Set(candidates.filter((each) => each !== candidate))
}

/** Returns a function that returns true when all loads have ended. */
function isLoadingDone(loading: readonly Promise<void>[]): () => boolean {
  let isDone = false
  void Promise.allSettled(loading).then(() => (isDone = true))
  return () => isDone
}

function createWorkers(
  plan: RoutingPlan,
  lanes: readonly Lane[],
  skipped: readonly SkippedBackend[],
  isDone: () => boolean,
): EngineWorkers {
  /** Returns the lanes in the order of a choice. */
  const sort = (first: 'local' | 'server') =>
    lanes.toSorted(
      (a, b) => Number(b.isLocal === (first === 'local')) - Number(a.isLocal === (first === 'local')),
    )

  return {
    get current() {
      return { ...sort(plan.first)[0]!.kept.current, skipped }
    },
    get all() {
      return lanes.map(({ kept }) => kept.current)
    },
    accept(create) {
      const infos = sort(plan.first).map(({ kept }) => kept.current.info)
      const refusals: unknown[] = []
      for (const info of infos) {
        try {
          return create(info)
        } catch (refusal) {
          refusals.push(refusal)
        }
      }
      throw refusals[0]
    },
    open(order, prompt) {
      const promptLength = measurePrompt(prompt)
      const excluded = new Set<Lane>()
      return (prepare, signal) => {
        const { first, reason } = chooseFirst(plan, promptLength)
        const choices = sort(first).filter((lane) => !excluded.has(lane))
        const isFirst = choices[0]?.isLocal === (first === 'local')
        const missing: RouteReason = isDone() ? 'failed' : 'loading'
        const firstReason = excluded.size > 0 ? 'failed' : isFirst ? reason : missing
        const racers = choices.map((lane): Racer => ({
          async take(why) {
            const loaded = await lane.kept.take(order)
            const { connection, info } = loaded
            const worker: GenerationWorker = {
              info,
              reason: why,
              generate: (request) => openWatched(loaded, request, (api) => api.generate(request)),
              closed: connection.closed,
              terminate: connection.terminate,
              switchBackend() {
                excluded.add(lane)
                return lanes.some((other) => !excluded.has(other))
              },
            }
            return worker
          },
        }))
        return race(racers, firstReason, plan.firstTokenMs, prepare, signal)
      }
    },
    take(order, suits) {
      const sorted = sort(plan.first)
      return (sorted.find(({ kept }) => suits(kept.current.info)) ?? sorted[0]!).kept.take(order)
    },
  }
}

/** Returns the length of a prompt, in characters. */
function measurePrompt(prompt: Prompt): number {
  return typeof prompt === 'string'
    ? prompt.length
    : JSON.stringify(prompt.map(({ content }) => content)).length
}
