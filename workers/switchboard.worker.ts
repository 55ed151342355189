// Runs in a SharedWorker. It computes nothing, so it is never busy: the model is in a worker of one of the pages, which can be
// ended. This file imports only types: then it also works where a bundler copies it as it is.
import type { FromSwitchboard, ToSwitchboard } from '../lib/contract/switchboard.js'

/** The pages that use one model. */
interface Room {
  readonly members: Set<MessagePort>
  seat: { readonly name: string; readonly port: MessagePort; readonly gone: Promise<void> } | undefined
}

/** How long a deposed seat may take to end by itself. A frozen page does not. */
const endMs = 2000

const rooms = new Map<string, Room>()
const ownLock = `rivulet switchboard ${crypto.getRandomValues(new Uint32Array(4)).join('-')}`
let ready: Promise<void> | undefined

function holdOwnLock(): Promise<void> {
  return new Promise((resolve) => {
    void navigator.locks.request(ownLock, () => {
      resolve()
      return new Promise(() => {})
    })
  })
}

const post = (port: MessagePort, message: FromSwitchboard, transfer: Transferable[] = []) =>
  port.postMessage(message, transfer)

/** Resolves when nobody holds the lock any more. */
const whenFree = (lifeLock: string) => navigator.locks.request(lifeLock, () => {})

function openRoom(key: string): Room {
  const room = rooms.get(key) ?? { members: new Set(), seat: undefined }
  rooms.set(key, room)
  return room
}

function reportEngines({ members }: Room): void {
  for (const member of members) post(member, { kind: 'engines', engines: members.size })
}

async function addMember(key: string, port: MessagePort, lifeLock: string): Promise<void> {
  const room = openRoom(key)
  room.members.add(port)
  if (room.seat) post(port, { kind: 'seat', seat: room.seat.name })
  reportEngines(room)
  await whenFree(lifeLock)
  room.members.delete(port)
  port.close()
  reportEngines(room)
  if (room.members.size === 0 && !room.seat) rooms.delete(key)
}

async function addSeat(key: string, name: string, port: MessagePort, lifeLock: string): Promise<void> {
  const room = openRoom(key)
  const seat = { name, port, gone: whenFree(lifeLock) }
  room.seat = seat
  for (const member of room.members) post(member, { kind: 'seat', seat: name })
  await seat.gone
  port.close()
  if (room.seat === seat) room.seat = undefined
  if (room.members.size === 0 && !room.seat) rooms.delete(key)
}

/** Asks the page of a seat to end its worker. If it does not, because it is frozen, another page gets the seat. */
async function depose(key: string, name: string): Promise<void> {
  const room = rooms.get(key)
  const { seat } = room ?? {}
  if (!room || seat?.name !== name) return
  room.seat = undefined
  post(seat.port, { kind: 'end' })
  const timeout = new Promise<'timeout'>((resolve) => setTimeout(() => resolve('timeout'), endMs))
  if ((await Promise.race([seat.gone, timeout])) !== 'timeout') return
  // The name is that of `nameSeatLock`. The page learns of it when it runs again, and ends its worker.
  await navigator.locks.request(`rivulet seat ${key}`, { steal: true }, () => {})
}

function handle(port: MessagePort, message: ToSwitchboard, [transferred]: readonly MessagePort[]): void {
  if (message.kind === 'join') void addMember(message.key, port, message.lifeLock)
  else if (message.kind === 'serve') void addSeat(message.key, message.seat, port, message.lifeLock)
  else if (message.kind === 'depose') void depose(message.key, message.seat)
  else {
    const { seat } = rooms.get(message.key) ?? {}
    const { lifeLock, lingerMs } = message
    // A member that asked an earlier seat has been told the name of the next one, or will be.
    if (seat?.name === message.seat && transferred)
      post(seat.port, { kind: 'connect', lifeLock, lingerMs }, [transferred])
  }
}

// TypeScript's library declares one type of `self` for all kinds of workers.
const worker = globalThis as unknown as SharedWorkerGlobalScope
worker.onconnect = ({ ports: [port] }) => {
  port!.onmessage = ({ data, ports }: MessageEvent<ToSwitchboard>) => handle(port!, data, ports)
  ready ??= holdOwnLock()
  void ready.then(() => post(port!, { kind: 'open', lifeLock: ownLock }))
}
