import { chooseOnnxDevice, type DeviceDtypes } from '../../lib/contract/choose-device.js'
import { probeDevices } from '../../lib/contract/devices.js'
import { RivuletError } from '../../lib/contract/errors.js'
import type { OnnxLoadOptions } from '../../lib/contract/onnx-options.js'
import { describeAdapter } from '../describe-device.js'
import { wasmMemoryBytes } from '../memory-exceeded.js'
import type { MemoryLimits } from './check-fit.js'

/** The device that runs a model. */
export interface ChosenDevice extends DeviceDtypes {
  readonly device: 'webgpu' | 'wasm'
  readonly description: string
  readonly memory: MemoryLimits
}

/**
 * Chooses the device that runs a model.
 * @throws RivuletError `backend-unavailable` if the device is missing or cannot compute the dtype
 */
export async function chooseDevice(options: OnnxLoadOptions): Promise<ChosenDevice> {
  const chosen = chooseOnnxDevice(await probeDevices(), options)
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
