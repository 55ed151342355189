import { RivuletError } from '../../lib/contract/errors.js'

/** Optional features that ONNX Runtime's kernels use if the adapter has them. */
const wantedFeatures = ['shader-f16', 'subgroups'] as const satisfies readonly GPUFeatureName[]

/**
 * With subgroups of 4 (SwiftShader), FlashAttention in ONNX Runtime 1.30.0 computes wrong results for 32 or more tokens at
 * a time. On a device without the feature `subgroups`, ONNX Runtime uses another kernel, which is correct.
 */
const minSubgroupSize = 8

/**
 * Limits that kernels and large weights need beyond WebGPU's defaults. They are raised to the limits of the adapter.
 */
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

/**
 * Creates a device that ONNX Runtime and the sampler share, so that one queue orders the work of both.
 * @throws RivuletError `backend-unavailable`
 */
export async function createGpuDevice(): Promise<GPUDevice> {
  const adapter = await navigator.gpu.requestAdapter({ powerPreference: 'high-performance' })
  if (!adapter)
    throw new RivuletError(
      'backend-unavailable',
      'The graphics adapter is no longer available. Reload the page.',
    )
  return adapter.requestDevice({
    requiredFeatures: wantedFeatures.filter((feature) => canUse(feature, adapter)),
    requiredLimits: Object.fromEntries(wantedLimits.map((name) => [name, adapter.limits[name]])),
  })
}

function canUse(feature: GPUFeatureName, { features, info }: GPUAdapter): boolean {
  return features.has(feature) && (feature !== 'subgroups' || info.subgroupMinSize >= minSubgroupSize)
}

/** Why a device was lost: the browser's message, or else its reason code. */
export function describeLoss({ reason, message }: GPUDeviceLostInfo): string {
  return message || reason
}
