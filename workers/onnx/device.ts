import { probeDevices } from '../../lib/contract/devices.js'
import { RivuletError } from '../../lib/contract/errors.js'
import type { OnnxDtype, OnnxLoadOptions } from '../../lib/contract/onnx-options.js'
import { describeAdapter } from '../describe-device.js'
import { wasmMemoryBytes } from '../memory-exceeded.js'
import type { MemoryLimits } from './check-fit.js'

/** The device that a model runs on, and the weight variants it can compute with, best first. */
export interface ChosenDevice {
  readonly device: 'webgpu' | 'wasm'
  readonly description: string
  readonly dtypes: readonly OnnxDtype[]
  readonly memory: MemoryLimits
}

const withFloat16: readonly OnnxDtype[] = ['q4f16', 'q4', 'fp16', 'q8', 'fp32']
const withoutFloat16: readonly OnnxDtype[] = ['q4', 'q8', 'fp32']

/**
 * A software adapter computes on the CPU and loses to WASM by far, so only `device: 'webgpu'` takes it.
 * @throws RivuletError `backend-unavailable`, `invalid-option` for a dtype that the device cannot compute
 */
export async function chooseDevice({
  device = 'auto',
  dtype,
  memoryBudgetBytes = Infinity,
}: OnnxLoadOptions): Promise<ChosenDevice> {
  const { webgpu } = await probeDevices()
  const adapter = 'adapter' in webgpu ? webgpu.adapter : undefined
  if (device === 'webgpu' && 'unavailable' in webgpu) {
    throw new RivuletError(
      'backend-unavailable',
      `${webgpu.unavailable} Use device: 'auto' to fall back to WASM.`,
    )
  }
  const useGpu = adapter && (device === 'webgpu' || (device === 'auto' && !adapter.isFallbackAdapter))
  const available = useGpu && adapter.hasShaderF16 ? withFloat16 : withoutFloat16
  if (dtype && !available.includes(dtype)) {
    throw new RivuletError(
      'invalid-option',
      `dtype "${dtype}" needs 16-bit floats, which this device has not. Use one of ${available.join(', ')}.`,
    )
  }
  return {
    device: useGpu ? 'webgpu' : 'wasm',
    description: useGpu ? describeAdapter(adapter) : 'CPU',
    dtypes: dtype ? [dtype] : available,
    memory: limitMemory(useGpu ? adapter.maxBufferBytes : undefined, memoryBudgetBytes),
  }
}

/** @param maxBufferBytes the adapter's; undefined on WASM */
function limitMemory(maxBufferBytes: number | undefined, budgetBytes: number): MemoryLimits {
  const isWasm = maxBufferBytes === undefined && wasmMemoryBytes < budgetBytes
  return {
    maxTensorBytes: maxBufferBytes ?? Infinity,
    maxModelBytes: isWasm ? wasmMemoryBytes : budgetBytes,
    limitedBy: isWasm ? 'the memory of WebAssembly' : 'the given memoryBudgetBytes',
  }
}
