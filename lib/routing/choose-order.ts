import type { RouteReason } from '../transcript.js'
import type { DeviceState } from './device-state.js'

/** The checked options of `routing()`, and the device. */
export interface RoutingPlan {
  readonly first: 'local' | 'server'
  /** Undefined if the next backend starts only after a failure. */
  readonly firstTokenMs: number | undefined
  readonly limits: RoutingLimits
  readonly device: DeviceState
}

interface RoutingLimits {
  readonly maxLocalPromptLength: number
  readonly minBattery: number
  readonly minMemoryGib: number
  readonly serverOnSaveData: boolean
}

/** Returns why the device loads no model, if it does not. */
export function findLoadLimit({ limits, device }: RoutingPlan): RouteReason | undefined {
  if (limits.serverOnSaveData && device.savesData) return 'save-data'
  return device.memoryGib < limits.minMemoryGib ? 'memory' : undefined
}

/** Returns where a generation starts, and why. @param promptLength in characters */
export function chooseFirst(
  plan: RoutingPlan,
  promptLength: number,
): { readonly first: 'local' | 'server'; readonly reason: RouteReason } {
  const { first, limits, device } = plan
  const limit =
    findLoadLimit(plan) ??
    (promptLength > limits.maxLocalPromptLength ? 'prompt-length' : undefined) ??
    (device.battery < limits.minBattery ? 'battery' : undefined)
  return first === 'local' && limit ? { first: 'server', reason: limit } : { first, reason: 'first' }
}
