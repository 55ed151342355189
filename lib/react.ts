'use client'

import { useEffect, useState, useSyncExternalStore } from 'react'
import { createChat, type Chat, type ChatOptions, type ChatSnapshot } from './chat.js'
import type { Engine } from './engine.js'

/** A chat as it is now, and what can be done with it. The functions stay the same ones. */
export type RivuletChat = ChatSnapshot & Omit<Chat, 'setEngine'>

/**
 * A chat of this component: renders again with each token, and stops when the component goes. It takes what `createChat`
 * takes; `engine` may change, everything else is the first render's.
 *
 *     const { messages, status, send, stop } = useRivuletChat({ engine: useRivuletEngine(loadEngine) })
 *
 * A chat that outlives its component, or that several share, is made by `createChat` outside of them, and read by
 * `useSyncExternalStore(chat.subscribe, chat.getSnapshot, chat.getSnapshot)`.
 *
 * @throws RivuletError `invalid-option`
 */
export function useRivuletChat(options: ChatOptions): RivuletChat {
  const [chat] = useState(() => createChat(options))
  const snapshot = useSyncExternalStore(chat.subscribe, chat.getSnapshot, chat.getSnapshot)
  const { engine } = options
  useEffect(() => chat.setEngine(engine), [chat, engine])
  useEffect(() => () => void chat.stop(), [chat])
  return { ...chat, ...snapshot }
}

/**
 * An engine of this component: loaded once it is shown, also in strict mode and not on a server; given up or disposed when
 * it goes. Another model is another component: give it another `key`.
 *
 *     const engine = useRivuletEngine((signal) => createEngine({ backend: onnx(), model, signal }))
 *
 * @param load called once, the first render's
 * @returns what `useRivuletChat` takes: pending until `load` is over, and rejected as that is
 */
export function useRivuletEngine(load: (signal: AbortSignal) => Promise<Engine>): Promise<Engine> {
  const [engine, setEngine] = useState(createPending)
  useEffect(() => {
    const abort = new AbortController()
    const loading = loadUnlessAborted(load, abort.signal)
    setEngine(loading)
    return () => {
      abort.abort()
      loading.then(
        (loaded) => loaded.dispose(),
        () => {},
      )
    }
  }, [])
  return engine
}

const createPending = () => new Promise<Engine>(() => {})

/** Begins behind this task: strict mode takes a component away again in the same one. */
async function loadUnlessAborted(
  load: (signal: AbortSignal) => Promise<Engine>,
  signal: AbortSignal,
): Promise<Engine> {
  await undefined
  signal.throwIfAborted()
  return load(signal)
}
