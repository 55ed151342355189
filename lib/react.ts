'use client'

import { useCallback, useEffect, useState, useSyncExternalStore } from 'react'
import { createChat, type Chat, type ChatOptions, type ChatSnapshot } from './chat.js'
import { asRivuletError, type RivuletError } from './contract/errors.js'
import type { LoadProgress } from './contract/worker-api.js'
import type { Engine } from './engine.js'

/** The current snapshot of a chat, with the chat's functions. The functions never change. */
export type RivuletChat = ChatSnapshot & Omit<Chat, 'setEngine' | 'setOptions'>

/**
 * Creates a chat for this component. The component renders again with each token. The chat stops its answer when the
 * component unmounts. Takes the options of `createChat`. A changed `engine` is used at once, the other changed options from the
 * next answer on; `messages` are read on the first render.
 *
 *     const { engine } = useRivuletEngine(loadEngine, [])
 *     const { messages, status, send, stop } = useRivuletChat({ engine })
 *
 * For a chat that outlives its component or is shared by several components, call `createChat` outside of the components
 * and read the chat with `useSyncExternalStore(chat.subscribe, chat.getSnapshot, chat.getSnapshot)`.
 *
 * @throws RivuletError `invalid-option`
 */
export function useRivuletChat(options: ChatOptions): RivuletChat {
  const [chat] = useState(() => createChat(options))
  const snapshot = useSyncExternalStore(chat.subscribe, chat.getSnapshot, chat.getSnapshot)
  const { engine, messages: _first, ...answerOptions } = options
  useEffect(() => chat.setEngine(engine), [chat, engine])
  // After every render: `sampling` and `tools` are usually new objects. The call changes no state.
  useEffect(() => chat.setOptions(answerOptions))
  useEffect(() => () => void chat.stop(), [chat])
  return { ...chat, ...snapshot }
}

/** What `load` gets from `useRivuletEngine`: pass both to `createEngine`. */
export interface EngineLoad {
  readonly signal: AbortSignal
  readonly onProgress: (progress: LoadProgress) => void
}

/** The engine of a component, and its loading. */
export interface RivuletEngine {
  /** The promise to pass to `useRivuletChat`. It settles as the promise of `load` does. It changes with each load. */
  readonly engine: Promise<Engine>
  /** The progress of the load, at most ten times a second; undefined before the first report. */
  readonly progress: LoadProgress | undefined
  /** Why the load failed; undefined if it did not fail. */
  readonly error: RivuletError | undefined
  /** Loads again after a failed load. Does nothing in every other state. The function never changes. */
  readonly retry: () => void
}

/**
 * Loads an engine for this component when it mounts: once, also in strict mode, and never on a server. Cancels the loading
 * or disposes the engine when the component unmounts. When a value of `dependencies` changes, it does this too, and loads
 * another engine.
 *
 *     const { engine, progress, error, retry } = useRivuletEngine(
 *       (load) => createEngine({ backend: onnx(), model, ...load }),
 *       [model],
 *     )
 *
 * @param load creates the engine. It is called again if React hides and shows the component
 * @param dependencies the values that `load` uses, such as the model's name, as for `useEffect`: compared with `Object.is`,
 *   so list the options of a backend, and not a backend that each render creates
 */
export function useRivuletEngine(
  load: (load: EngineLoad) => Promise<Engine>,
  dependencies: readonly unknown[],
): RivuletEngine {
  const [{ attempt, ...state }, setState] = useState(createFirstState)
  useEffect(() => {
    const abort = new AbortController()
    const { signal } = abort
    const update = (changed: Partial<LoadState>) => {
      if (!signal.aborted) setState((before) => ({ ...before, ...changed }))
    }
    const onProgress = limitRate((progress) => update({ progress }))
    const engine = loadUnlessAborted(load, { signal, onProgress })
    update({ engine, progress: undefined, error: undefined })
    engine.catch((error: unknown) =>
      update({ error: asRivuletError(error, 'generation-failed', 'The engine could not be loaded') }),
    )
    return () => {
      abort.abort()
      engine.then(
        (loaded) => loaded.dispose(),
        () => {},
      )
    }
  }, [...dependencies, attempt])
  const retry = useCallback(() => {
    setState((before) =>
      before.error ? { ...before, attempt: before.attempt + 1, error: undefined } : before,
    )
  }, [])
  return { ...state, retry }
}

interface LoadState extends Omit<RivuletEngine, 'retry'> {
  /** Counts the retries. */
  readonly attempt: number
}

const createFirstState = (): LoadState => ({
  engine: new Promise<Engine>(() => {}),
  progress: undefined,
  error: undefined,
  attempt: 0,
})

/** Calls `load` after the current task, unless it was aborted: strict mode unmounts a component again in the same task. */
async function loadUnlessAborted(
  load: (load: EngineLoad) => Promise<Engine>,
  options: EngineLoad,
): Promise<Engine> {
  await undefined
  options.signal.throwIfAborted()
  return load(options)
}

/** The shortest time between two reports of the same phase. On a fast connection, bytes arrive a thousand times a second. */
const reportMs = 100

/** Passes on the reports of new phases, the last report, and otherwise one per `reportMs`. */
function limitRate(report: (progress: LoadProgress) => void): (progress: LoadProgress) => void {
  let phase: LoadProgress['phase'] | undefined
  let reportedMs = 0
  return (progress) => {
    const nowMs = performance.now()
    if (progress.phase === phase && progress.fraction < 1 && nowMs - reportedMs < reportMs) return
    phase = progress.phase
    reportedMs = nowMs
    report(progress)
  }
}
