import { chooseOnnxDevice, type DeviceDtypes } from '../../lib/contract/choose-device.js'
import { probeDevices, type Devices } from '../../lib/contract/devices.js'
import { RivuletError } from '../../lib/contract/errors.js'
import type { OnnxLoadOptions } from '../../lib/contract/onnx-options.js'
import { describeAdapter } from '../describe-device.js'
import { wasmMemoryBytes } from '../memory-exceeded.js'
import type { MemoryLimits } from './check-fit.js'

/** The device that runs a model, unless it cannot compute the model or any of the folder's files. */
export interface ChosenDevice extends UsedDevice {
  /** The device for such a model; undefined if `device` or `dtype` was requested, or if this device is WASM. */
  readonly fallback: UsedDevice | undefined
}

/** A device, with its weight variants and its memory. */
export interface UsedDevice extends DeviceDtypes {
  readonly device: 'webgpu' | 'wasm'
  readonly description: string
  readonly memory: MemoryLimits
}

/**
 * Chooses the device that runs a model.
 * @throws RivuletError `backend-unavailable` if the device is missing or cannot compute the dtype
 */
export async function chooseDevice(options: OnnxLoadOptions): Promise<ChosenDevice> {
  const devices = await probeDevices()
  const first = choose(devices, options)
  const { device = 'auto', dtype } = options
  const canFallBack = first.device === 'webgpu' && device === 'auto' && dtype === undefined
  return { ...first, fallback: canFallBack ? choose(devices, { ...options, device: 'wasm' }) : undefined }
}

function choose(devices: Devices, options: OnnxLoadOptions): UsedDevice {
  const chosen = chooseOnnxDevice(devices, options)
  if (chosen.kind === 'unavailable') throw new RivuletError('backend-unavailable', chosen.reason)
  const adapter = chosen.kind === 'webgpu' ? chosen.adapter : undefined
  return {
    device: chosen.kind,
    description: adapter ? describeAdapter(adapter) : 'CPU',
    dtypes: chosen.dtypes,
    unsupported: chosen.unsupported,
    memory: limitMemory(adapter?.maxBufferBytes, options.memoryBudgetBytes ?? Infinity),
  }
}

/**
 * Returns the memory limits of a model.
 * @param maxBufferBytes the largest buffer size of the adapter; undefined on WASM
 */
function limitMemory(maxBufferBytes: number | undefined, budgetBytes: number): MemoryLimits {
  const isWasm = maxBufferBytes === undefined && wasmMemoryBytes < budgetBytes
  return {
    maxTensorBytes: maxBufferBytes ?? Infinity,
    maxModelBytes: isWasm ? wasmMemoryBytes : budgetBytes,
    limitedBy: isWasm ? 'the memory of WebAssembly' : 'the option "memoryBudgetBytes"',
  }
}
