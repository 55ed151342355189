import { chooseLlamaCppDevice, type LlamaCppBuild } from '../../lib/contract/choose-device.js'
import { probeDevices } from '../../lib/contract/devices.js'
import { RivuletError } from '../../lib/contract/errors.js'
import type { LlamaCppLoadOptions } from '../../lib/contract/llama-cpp-options.js'
import { describeAdapter } from '../describe-device.js'

/** The device that llama.cpp runs on. */
export interface ChosenDevice {
  readonly useGpu: boolean
  readonly build: LlamaCppBuild
  /** The name of the GPU adapter, or `CPU`. */
  readonly description: string
  readonly threads: number
}

/** Chooses the device and the number of threads. @throws RivuletError `backend-unavailable` */
export async function chooseDevice(options: LlamaCppLoadOptions): Promise<ChosenDevice> {
  const chosen = chooseLlamaCppDevice(await probeDevices(), options)
  if (chosen.kind === 'unavailable') throw new RivuletError('backend-unavailable', chosen.reason)
  const half = Math.floor((navigator.hardwareConcurrency || 1) / 2)
  return {
    useGpu: chosen.kind === 'webgpu',
    build: chosen.build,
    description: chosen.kind === 'webgpu' ? describeAdapter(chosen.adapter) : 'CPU',
    threads: options.threads ?? Math.max(2, half),
  }
}
