import { describeError } from '../../lib/contract/errors.js'
import { createLoss } from '../gpu-loss.js'
import { poolPipelines } from './pipeline-pool.js'
import { zeroVariables } from './zero-variables.js'

/** The optional WebGPU features that ONNX Runtime's kernels use if the adapter has them. */
const wantedFeatures = ['shader-f16', 'subgroups'] as const satisfies readonly GPUFeatureName[]

/**
 * The smallest subgroup size for which the feature `subgroups` is used. With subgroups of 4 (SwiftShader), FlashAttention
 * in ONNX Runtime 1.30.0 computes wrong results for 32 or more tokens at a time. On a device without the feature, ONNX
 * Runtime uses another kernel, which is correct.
 */
const minSubgroupSize = 8

/**
 * The limits for which kernels and large weights need more than WebGPU's defaults. The device gets the adapter's limits.
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
 * @throws RivuletError `device-lost` if the graphics adapter that `chooseDevice` has found is gone
 */
export async function createGpuDevice(): Promise<GPUDevice> {
  const adapter = await navigator.gpu.requestAdapter({ powerPreference: 'high-performance' })
  if (!adapter) throw createLoss('the browser has no graphics adapter any more. Reload the page.')
  const device = await adapter
    .requestDevice({
      requiredFeatures: wantedFeatures.filter((feature) => canUse(feature, adapter)),
      requiredLimits: Object.fromEntries(wantedLimits.map((name) => [name, adapter.limits[name]])),
    })
    // The adapter has these features and limits, so it is the adapter that is gone.
    .catch((error: unknown): never => {
      throw createLoss(describeError(error), error)
    })
  const createShaderModule = device.createShaderModule.bind(device)
  device.createShaderModule = (shader) => createShaderModule({ ...shader, code: zeroVariables(shader.code) })
  poolPipelines(device)
  return device
}

function canUse(feature: GPUFeatureName, { features, info }: GPUAdapter): boolean {
  return features.has(feature) && (feature !== 'subgroups' || info.subgroupMinSize >= minSubgroupSize)
}

/** Returns why a device was lost: the browser's message, or its reason code if the message is empty. */
export function describeLoss({ reason, message }: GPUDeviceLostInfo): string {
  return message || reason
}
