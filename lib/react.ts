'use client'

import { useEffect, useState, useSyncExternalStore } from 'react'
import { createChat, type Chat, type ChatOptions, type ChatSnapshot } from './chat.js'
import type { Engine } from './engine.js'

/** The current snapshot of a chat, with the chat's functions. The functions never change. */
export type RivuletChat = ChatSnapshot & Omit<Chat, 'setEngine'>

/**
 * Creates a chat for this component. The component renders again with each token. The chat stops its answer when the
 * component unmounts. Takes the options of `createChat`. Only `engine` may change; the others are read on the first render.
 *
 *     const { messages, status, send, stop } = useRivuletChat({ engine: useRivuletEngine(loadEngine) })
 *
 * For a chat that outlives its component or is shared by several components, call `createChat` outside of the components
 * and read the chat with `useSyncExternalStore(chat.subscribe, chat.getSnapshot, chat.getSnapshot)`.
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
 * Loads an engine for this component when it mounts: once, also in strict mode, and never on a server. Cancels the loading
 * or disposes the engine when the component unmounts. To change the model, change the component's `key`.
 *
 *     const engine = useRivuletEngine((signal) => createEngine({ backend: onnx(), model, signal }))
 *
 * @param load creates the engine. Only the first render's function is used; it is called again if React hides and shows the
 *   component
 * @returns the promise to pass to `useRivuletChat`. It settles as the promise of `load` does.
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

/** Calls `load` after the current task, unless it was aborted: strict mode unmounts a component again in the same task. */
async function loadUnlessAborted(
  load: (signal: AbortSignal) => Promise<Engine>,
  signal: AbortSignal,
): Promise<Engine> {
  await undefined
  signal.throwIfAborted()
  return load(signal)
}
