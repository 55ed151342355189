import { getFile, toHex } from '../lib/contract/store-layout.js'

// Remembers how long the phases of a load took, in the origin private file system, so that the progress of the next load of
// the same model is right from its start:
//
//   rivulet-times/<key>   a JSON text with the times
//
// The key is a hash of the model's address, the backend, the device and the browser.

/** How long the phases after a download take. */
export interface PhaseTimes {
  readonly loadMs: number
  readonly warmUpMs: number
}

/** The times of a first load. */
export interface UsualTimes extends PhaseTimes {
  /** What `loadMs` increases by for each megabyte that was downloaded. */
  readonly msPerMegabyte: number
}

interface RememberedTimes {
  /** Returns the times of the last load; before the first load, the usual ones. */
  readonly expect: (downloadedBytes: number) => PhaseTimes
  readonly remember: (times: PhaseTimes) => void
}

const folderName = 'rivulet-times'

/** When the folder has this many records, they are removed. */
const maxRecords = 200

/** Reads the times of the last load of a model. @param key what the times depend on, besides the browser */
export async function rememberTimes(key: readonly string[], usual: UsualTimes): Promise<RememberedTimes> {
  // An insecure page has neither hashes nor a private file system.
  const name = isSecureContext ? await nameTimes([...key, navigator.userAgent]) : undefined
  const last = name === undefined ? undefined : await readTimes(name)
  return {
    expect: (downloadedBytes) =>
      last ?? { ...usual, loadMs: usual.loadMs + (downloadedBytes / 1e6) * usual.msPerMegabyte },
    remember(times) {
      if (name !== undefined) void writeTimes(name, times)
    },
  }
}

async function nameTimes(parts: readonly string[]): Promise<string> {
  const text = new TextEncoder().encode(JSON.stringify(parts))
  return toHex(await crypto.subtle.digest('SHA-256', text)).slice(0, 32)
}

/** @returns the times of the last load; undefined if there was none, or no private file system */
async function readTimes(key: string): Promise<PhaseTimes | undefined> {
  try {
    const folder = await openFolder()
    return JSON.parse(await (await getFile(folder, key))!.text()) as PhaseTimes
  } catch {
    return undefined
  }
}

/** Remembers the times of a load, if there is a private file system. */
async function writeTimes(key: string, times: PhaseTimes): Promise<void> {
  try {
    const folder = await openFolder()
    const names: string[] = []
    for await (const name of folder.keys()) names.push(name)
    if (names.length >= maxRecords) await Promise.all(names.map((name) => folder.removeEntry(name)))
    const file = await folder.getFileHandle(key, { create: true })
    const access = await file.createSyncAccessHandle()
    access.truncate(0)
    access.write(new TextEncoder().encode(JSON.stringify(times)))
    access.close()
  } catch {
    // Without a record, the next load expects the usual times.
  }
}

async function openFolder(): Promise<FileSystemDirectoryHandle> {
  return (await navigator.storage.getDirectory()).getDirectoryHandle(folderName, { create: true })
}
