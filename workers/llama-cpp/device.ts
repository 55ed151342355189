import { probeDevices } from '../../lib/contract/devices.js'
import { RivuletError } from '../../lib/contract/errors.js'
import type { LlamaCppLoadOptions } from '../../lib/contract/llama-cpp-options.js'
import { describeAdapter } from '../describe-device.js'

/** Where llama.cpp is told to compute. */
export interface ChosenDevice {
  readonly useGpu: boolean
  /** The adapter by name. */
  readonly description: string
  readonly threads: number
}

/** llama.cpp's shaders compute in 16-bit floats: without them it takes the CPU, on whatever adapter. */
export async function chooseDevice({ device = 'auto', threads }: LlamaCppLoadOptions): Promise<ChosenDevice> {
  const { webgpu } = await probeDevices()
  const adapter = 'adapter' in webgpu ? webgpu.adapter : undefined
  if (device === 'webgpu' && !adapter?.hasShaderF16) {
    const why = 'unavailable' in webgpu ? webgpu.unavailable : 'This graphics adapter has no 16-bit floats.'
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
