import { RivuletError } from '../../lib/contract/errors.js'
import type { ModelProto } from './onnx_pb.js'

/**
 * True if the scores of attention have a soft cap, as in Gemma 2. The kernels for `GroupQueryAttention` on WebGPU in ONNX
 * Runtime 1.30.0 ignore the attribute, so the text would be wrong. Its kernel for the CPU applies it.
 */
export function hasSoftCap({ graph }: ModelProto): boolean {
  return (graph?.node ?? []).some(
    ({ opType, attribute }) =>
      opType === 'GroupQueryAttention' && attribute.some(({ name, f }) => name === 'softcap' && f !== 0),
  )
}

/** @throws RivuletError `backend-unavailable` if WebGPU would compute the model's attention without its soft cap */
export function refuseSoftCap(model: ModelProto, device: 'webgpu' | 'wasm'): void {
  if (device === 'webgpu' && hasSoftCap(model))
    throw new RivuletError(
      'backend-unavailable',
      "ONNX Runtime ignores the soft cap of this model's attention on WebGPU, so its text would be wrong. Use onnx({ device: 'wasm' }).",
    )
}
