import { probeDevices } from '../../lib/contract/devices.js'
import { RivuletError } from '../../lib/contract/errors.js'
import type { LlamaCppLoadOptions } from '../../lib/contract/llama-cpp-options.js'
import { describeAdapter } from '../describe-device.js'

/** The device on which llama.cpp runs. */
export interface ChosenDevice {
  readonly useGpu: boolean
  /** The adapter's name, or `CPU`. */
  readonly description: string
  readonly threads: number
}

/**
 * Chooses the device. llama.cpp's shaders need 16-bit floats: without them it runs on the CPU, with any adapter.
 * @throws RivuletError `backend-unavailable`
 */
export async function chooseDevice({ device = 'auto', threads }: LlamaCppLoadOptions): Promise<ChosenDevice> {
  const { webgpu } = await probeDevices()
  const adapter = 'adapter' in webgpu ? webgpu.adapter : undefined
  if (device === 'webgpu' && !adapter?.hasShaderF16) {
    const why =
      'unavailable' in webgpu
        ? webgpu.unavailable
        : 'This graphics adapter does not support 16-bit floats in shaders.'
    throw new RivuletError('backend-unavailable', `${why} Use device: 'auto' to fall back to WASM.`)
  }
  const isReal = adapter !== undefined && !adapter.isFallbackAdapter && adapter.hasShaderF16
  const half = Math.floor((navigator.hardwareConcurrency || 1) / 2)
  return {
    useGpu: device === 'webgpu' || (device === 'auto' && isReal),
    description: adapter ? describeAdapter(adapter) : 'CPU',
    threads: threads ?? Math.max(2, half),
  }
}
