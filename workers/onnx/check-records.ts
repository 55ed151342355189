import { getDirectory, getFile, removeEntry, toHex } from '../../lib/contract/store-layout.js'
import { version } from '../../lib/contract/version.js'
import type { Execution } from '../../lib/contract/worker-api.js'
import type { OnnxRuntime } from './session.js'
import type { StepProbe } from './step-check.js'

// Remembers the results of checks in the origin private file system, as empty files, so that a later load does not check
// again:
//
//   rivulet-checks/<key>.<way>   the steps of a model equal those of its exported graph if it runs in this way
//
// The key is a hash of the model's structure, the device, and the versions, so the model's weights are not read for it.

const folderName = 'rivulet-checks'

/** Changes when steps run in another way, so that they are checked again. */
const stepsVersion = 3

/** An older check is repeated: a driver, which no page can see the version of, can have changed. In milliseconds. */
const maxAgeMs = 30 * 24 * 3600 * 1000

/** When the folder has this many records, they are removed. A missing record costs one check. */
const maxRecords = 200

/**
 * The ways to run a model, from the fastest to the slowest. `fused` is `replayed` with the kernel of `fuseDispatches`. The last
 * one is the exported graph, which is not checked.
 */
export const checkedWays = ['fused', 'replayed', 'fixed-cache', 'growing-cache'] as const satisfies readonly (
  | Execution
  | 'fused'
)[]

/** The fastest way whose steps are correct. */
export type CheckedWay = (typeof checkedWays)[number]

/** Returns the name of a check. It changes with the graph, the device, the browser, ONNX Runtime, and the probes. */
export async function nameCheck(
  { env }: OnnxRuntime,
  graph: Uint8Array<ArrayBuffer>,
  probes: readonly StepProbe[],
): Promise<string> {
  const hash = async (data: BufferSource) => toHex(await crypto.subtle.digest('SHA-256', data))
  const parts = [
    stepsVersion,
    version,
    await hash(graph),
    probes,
    env.versions,
    await describeBrowser(),
    await describeAdapter(),
  ]
  return (await hash(new TextEncoder().encode(JSON.stringify(parts)))).slice(0, 32)
}

/** The user agent has only the major version in Chromium. */
async function describeBrowser(): Promise<unknown> {
  const { userAgent } = navigator
  const { userAgentData } = navigator as {
    readonly userAgentData?: { getHighEntropyValues(hints: readonly string[]): Promise<unknown> }
  }
  const details = userAgentData?.getHighEntropyValues(['fullVersionList', 'platformVersion'])
  return [userAgent, await details?.catch(() => undefined)]
}

async function describeAdapter(): Promise<unknown> {
  const adapter = await navigator.gpu.requestAdapter({ powerPreference: 'high-performance' })
  if (!adapter) return undefined
  const { vendor, architecture, device, description, subgroupMinSize, subgroupMaxSize } = adapter.info
  const features = [...adapter.features].toSorted()
  return [vendor, architecture, device, description, subgroupMinSize, subgroupMaxSize, features]
}

/** @returns the result of an earlier check; undefined if there is none, or no private file system */
export async function readCheck(key: string): Promise<CheckedWay | undefined> {
  try {
    const folder = await getDirectory(await navigator.storage.getDirectory(), folderName)
    if (!folder) return undefined
    const files = await Promise.all(checkedWays.map((way) => getFile(folder, `${key}.${way}`)))
    const isValid = (file: File | undefined) =>
      file !== undefined && Date.now() - file.lastModified < maxAgeMs
    return checkedWays.find((_, index) => isValid(files[index]))
  } catch {
    return undefined
  }
}

/** Remembers the result of a check, if there is a private file system. */
export async function writeCheck(key: string, way: CheckedWay): Promise<void> {
  try {
    const folder = await (
      await navigator.storage.getDirectory()
    ).getDirectoryHandle(folderName, { create: true })
    const names: string[] = []
    for await (const name of folder.keys()) names.push(name)
    if (names.length >= maxRecords) await Promise.all(names.map((name) => removeEntry(folder, name)))
    // Removed first, so that its time is new.
    await removeEntry(folder, `${key}.${way}`)
    await folder.getFileHandle(`${key}.${way}`, { create: true })
  } catch {
    // Without a record, the next load checks again.
  }
}
