import { RivuletError } from '../../lib/contract/errors.js'

/** What ONNX Runtime's kernels make use of where an adapter has it. */
const wantedFeatures = ['shader-f16', 'subgroups'] as const satisfies readonly GPUFeatureName[]

/**
 * With subgroups of 4, as SwiftShader has them, ONNX Runtime 1.30.0's FlashAttention gives wrong numbers for 32 tokens and
 * more at a time; on a device without subgroups it takes another way, which is right.
 */
const leastSubgroupSize = 8

/** Limits that the kernels and large weights need beyond WebGPU's defaults: all that the adapter has. */
const wantedLimits = [
  'maxBufferSize',
  'maxStorageBufferBindingSize',
  'maxStorageBuffersPerShaderStage',
  'maxComputeWorkgroupStorageSize',
  'maxComputeInvocationsPerWorkgroup',
  'maxComputeWorkgroupSizeX',
  'maxComputeWorkgroupSizeY',
  'maxComputeWorkgroupSizeZ',
  'maxComputeWorkgroupsPerDimension',
  'maxBindGroups',
] as const satisfies readonly (keyof GPUSupportedLimits)[]

/** A device of our own for ONNX Runtime, so that one queue orders its work and ours. @throws RivuletError `backend-unavailable` */
export async function createGpuDevice(): Promise<GPUDevice> {
  const adapter = await navigator.gpu.requestAdapter({ powerPreference: 'high-performance' })
  if (!adapter)
    throw new RivuletError('backend-unavailable', 'The graphics adapter is gone. Reload the page.')
  return adapter.requestDevice({
    requiredFeatures: wantedFeatures.filter((feature) => canUse(feature, adapter)),
    requiredLimits: Object.fromEntries(wantedLimits.map((name) => [name, adapter.limits[name]])),
  })
}

function canUse(feature: GPUFeatureName, { features, info }: GPUAdapter): boolean {
  return features.has(feature) && (feature !== 'subgroups' || info.subgroupMinSize >= leastSubgroupSize)
}

/** Why a device is gone, in the browser's words. */
export function describeLoss({ reason, message }: GPUDeviceLostInfo): string {
  return message || reason
}
