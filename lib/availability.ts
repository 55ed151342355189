import type { BackendFactory } from './backend-factory.js'
import { probeDevices, type Devices } from './contract/devices.js'

/** The devices of this browser, and the backends that can run on them. */
export interface Availability extends Devices {
  /** One entry for each backend passed, in the same order. */
  readonly backends: readonly {
    readonly name: string
    readonly isAvailable: boolean
    /**
     * True if the backend can run, but would compute on the CPU instead of a GPU. In a list, `createEngine` tries other
     * local backends first.
     */
    readonly isSlow: boolean
    /** The reason why the backend cannot run; undefined if it can run. */
    readonly reason: string | undefined
  }[]
}

/**
 * Reports which of the backends can run in this browser; on a server, none. Loads nothing, starts no worker, and never
 * rejects.
 */
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
