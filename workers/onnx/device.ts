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

/** @throws RivuletError `backend-unavailable` for a device that is missing, or a dtype that it cannot compute */
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

/** @param maxBufferBytes the limit of the adapter; undefined on WASM */
function limitMemory(maxBufferBytes: number | undefined, budgetBytes: number): MemoryLimits {
  const isWasm = maxBufferBytes === undefined && wasmMemoryBytes < budgetBytes
  return {
    maxTensorBytes: maxBufferBytes ?? Infinity,
    maxModelBytes: isWasm ? wasmMemoryBytes : budgetBytes,
    limitedBy: isWasm ? 'the memory of WebAssembly' : 'the option "memoryBudgetBytes"',
  }
}
