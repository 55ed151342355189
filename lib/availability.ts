import type { BackendFactory } from './backend-factory.js'
import { probeDevices, type Devices } from './contract/devices.js'

/** What can run here, and why the rest cannot. */
export interface Availability extends Devices {
  /** One entry for each backend asked about, in that order. */
  readonly backends: readonly {
    readonly name: string
    readonly isAvailable: boolean
    /** It can run, but other local backends of a list go first: it would compute on the CPU. */
    readonly isSlow: boolean
    /** Why not; undefined where it can run. */
    readonly reason: string | undefined
  }[]
}

/** Asks the browser what can run here. Loads nothing and starts no worker; never rejects. */
export async function availability(...backends: readonly BackendFactory[]): Promise<Availability> {
  const [devices, checks] = await Promise.all([
    probeDevices(),
    Promise.all(backends.map((backend) => backend.checkAvailability())),
  ])
  return {
    ...devices,
    backends: checks.map((check, index) => ({
      name: backends[index]!.name,
      isAvailable: check.isAvailable,
      isSlow: check.isAvailable && check.isSlow === true,
      reason: check.isAvailable ? undefined : check.reason,
    })),
  }
}
