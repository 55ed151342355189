import { watchLifeLock } from '../contract/life-lock.js'
import type { FromSwitchboard, ToSwitchboard } from '../contract/switchboard.js'
import { version } from '../contract/version.js'

/** A connection to the switchboard. */
export interface Switchboard {
  send(message: ToSwitchboard, transfer?: Transferable[]): void
}

/** How the switchboard is reached, and what to do with its messages. */
export interface SwitchboardUse {
  create(): SharedWorker
  /** Sent at first, and again to a new switchboard if this one dies: with the page whose process it runs in. */
  readonly introduction: ToSwitchboard
  onMessage(message: FromSwitchboard, ports: readonly MessagePort[]): void
  /** Ends the connection. */
  readonly ended: AbortSignal
}

/** How long to wait for the switchboard's first message, on a busy machine. A script that cannot be loaded fails at once. */
const openMs = 30_000

/** Starts the switchboard of this version of the library. Another version has another one. */
export function createSwitchboard(): SharedWorker {
  return new SharedWorker(new URL('../../workers/switchboard.worker.js', import.meta.url), {
    type: 'module',
    name: `rivulet ${version}`,
  })
}

/** Connects to the switchboard. @returns undefined if its script cannot run here */
export async function openSwitchboard(use: SwitchboardUse): Promise<Switchboard | undefined> {
  const { create, introduction, onMessage, ended } = use
  let port = await connect()
  if (!port) return undefined

  async function connect(): Promise<MessagePort | undefined> {
    const worker = create()
    const opened = await waitForOpen(worker)
    if (opened === undefined || ended.aborted) return undefined
    const { port: connected } = worker
    connected.onmessage = ({ data, ports }: MessageEvent<FromSwitchboard>) => {
      if (!ended.aborted) onMessage(data, ports)
    }
    ended.addEventListener('abort', () => connected.close())
    watchLifeLock(opened, ended, () => void reconnect())
    connected.postMessage(introduction, [])
    return connected
  }

  async function reconnect(): Promise<void> {
    port = (await connect()) ?? port
  }

  return { send: (message, transfer = []) => port?.postMessage(message, transfer) }
}

/** Returns the name of the switchboard's life lock; undefined if the switchboard does not answer. */
function waitForOpen(worker: SharedWorker): Promise<string | undefined> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => resolve(undefined), openMs)
    const settle = (lifeLock: string | undefined) => {
      clearTimeout(timer)
      resolve(lifeLock)
    }
    worker.addEventListener('error', (event) => {
      event.preventDefault()
      settle(undefined)
    })
    worker.port.onmessage = ({ data }: MessageEvent<FromSwitchboard>) => {
      if (data.kind === 'open') settle(data.lifeLock)
    }
  })
}
