import type { Devices, GpuAdapterFacts } from './devices.js'
import type { LlamaCppLoadOptions } from './llama-cpp-options.js'
import {
  commonDtypes,
  float16Dtypes,
  onnxDtypes,
  type OnnxDtype,
  type OnnxLoadOptions,
} from './onnx-options.js'
import type { WebLlmLoadOptions } from './web-llm-options.js'

/*
 * `availability()` on the page and the loading in the worker use the same rules. A backend that `availability()` reports
 * as available therefore does not refuse the device when the model is loaded.
 */

/** A device that a backend can compute on. */
export type UsableDevice =
  | { readonly kind: 'webgpu'; readonly adapter: GpuAdapterFacts }
  | { readonly kind: 'wasm' }

/** The backend cannot run in this browser with these options. `reason` is a sentence for the developer. */
export interface Unavailable {
  readonly kind: 'unavailable'
  readonly reason: string
}

/** The weight variants for a device. The device can compute `dtypes` (best first), but not `unsupported`. */
export interface DeviceDtypes {
  readonly dtypes: readonly OnnxDtype[]
  readonly unsupported: readonly OnnxDtype[]
}

const float32Dtypes = onnxDtypes.filter((dtype) => !float16Dtypes.includes(dtype))

/** The weight variants for WASM. ONNX Runtime on the CPU computes 16-bit floats too, but more slowly than 32-bit floats. */
const dtypesOnWasm: DeviceDtypes = {
  dtypes: [
    ...new Set<OnnxDtype>([
      ...commonDtypes.filter((dtype) => !float16Dtypes.includes(dtype)),
      ...commonDtypes,
      ...float32Dtypes,
      ...float16Dtypes,
    ]),
  ],
  unsupported: [],
}

/**
 * Returns the device for `onnx()` and the weight variants to try, or the reason why the model cannot run.
 * A fallback adapter is much slower than WASM, so only `device: 'webgpu'` selects it.
 */
export function chooseOnnxDevice(
  devices: Devices,
  { device = 'auto', dtype }: Pick<OnnxLoadOptions, 'device' | 'dtype'>,
): (UsableDevice & DeviceDtypes) | Unavailable {
  const chosen = chooseDevice(devices, device, () => undefined)
  if (chosen.kind === 'unavailable') return chosen
  const { dtypes, unsupported } = chosen.kind === 'wasm' ? dtypesOnWasm : listWebGpuDtypes(chosen.adapter)
  if (dtype === undefined) return { ...chosen, dtypes, unsupported }
  if (dtypes.includes(dtype)) return { ...chosen, dtypes: [dtype], unsupported }
  return {
    kind: 'unavailable',
    reason: `dtype "${dtype}" needs 16-bit floats (shader-f16), which this graphics adapter does not support. Use one of ${dtypes.join(', ')}, or device: 'wasm'.`,
  }
}

function listWebGpuDtypes({ hasShaderF16 }: GpuAdapterFacts): DeviceDtypes {
  return hasShaderF16
    ? { dtypes: onnxDtypes, unsupported: [] }
    : { dtypes: float32Dtypes, unsupported: float16Dtypes }
}

/**
 * The build of llama.cpp. `default` needs 64-bit memories, and JSPI to wait for WebGPU. `compat` needs neither, and is
 * slower: the compiler has rewritten its code so that it can wait (Asyncify).
 */
export type LlamaCppBuild = 'default' | 'compat'

/**
 * Returns the device and the build for `llamaCpp()`, or the reason why the model cannot run. The shaders of llama.cpp need
 * 16-bit floats, and its default build needs JSPI to wait for WebGPU. Without either, llama.cpp computes on the CPU and
 * reports no error, so `device: 'webgpu'` is refused there. Without 64-bit memories, the default build does not start: the
 * option `compat` is the build for such browsers. Only `device: 'webgpu'` selects a fallback adapter.
 */
export function chooseLlamaCppDevice(
  devices: Devices,
  { device = 'auto', compat }: Pick<LlamaCppLoadOptions, 'device' | 'compat'>,
): (UsableDevice & { readonly build: LlamaCppBuild }) | Unavailable {
  const { wasm } = devices
  const hasMemory64 = 'hasMemory64' in wasm && wasm.hasMemory64
  const hasJspi = 'hasJspi' in wasm && wasm.hasJspi
  if ('hasMemory64' in wasm && !hasMemory64 && !compat) {
    const reason =
      "This browser has no WebAssembly memories with 64-bit addresses (memory64), which llama.cpp's default build needs. Install @wllama/wllama-compat and pass llamaCpp({ compat }), use onnx(), or update the browser."
    return { kind: 'unavailable', reason }
  }
  const build = hasMemory64 ? 'default' : 'compat'
  const chosen = chooseDevice(devices, device, ({ hasShaderF16 }) => {
    if (!hasShaderF16)
      return 'This graphics adapter has no 16-bit floats (shader-f16), which llama.cpp needs.'
    return build === 'compat' || hasJspi
      ? undefined
      : 'This browser has no JSPI (WebAssembly.Suspending), which llama.cpp needs for WebGPU.'
  })
  return chosen.kind === 'unavailable' ? chosen : { ...chosen, build }
}

/**
 * Checks whether the adapter can run the model of `webLlm()`, which has no fallback to WASM.
 * @returns undefined if the model can run, otherwise the reason why it cannot
 */
export function checkWebLlmDevice({ webgpu }: Devices, options: WebLlmLoadOptions): Unavailable | undefined {
  if ('unavailable' in webgpu) return { kind: 'unavailable', reason: webgpu.unavailable }
  if (webgpu.adapter.isFallbackAdapter) {
    const reason = 'The graphics adapter here is software on the CPU, which is too slow for web-llm.'
    return { kind: 'unavailable', reason }
  }
  if (webgpu.adapter.hasShaderF16 || !needsFloat16(options)) return undefined
  return {
    kind: 'unavailable',
    reason: `"${options.model}" needs 16-bit floats (shader-f16), which this graphics adapter does not support. Use a model with q4f32 or q0f32 in its id.`,
  }
}

/**
 * Returns true if the model needs 16-bit floats. Models without a record are in web-llm's own list, which only the worker
 * loads. The ids in that list name the type of the model's floats: `q4f16_1`.
 */
function needsFloat16({ model, modelRecords }: WebLlmLoadOptions): boolean {
  const record = modelRecords.find(({ model_id }) => model_id === model)
  return record ? record.required_features?.includes('shader-f16') === true : /-q\d+f16(_|-|$)/.test(model)
}

/**
 * Returns the device for a runtime that supports WebGPU and WASM, or the reason why no allowed device can be used.
 * @param findObstacle returns the reason why the runtime cannot use an adapter; undefined if it can
 */
function chooseDevice(
  { webgpu, wasm }: Devices,
  device: 'auto' | 'webgpu' | 'wasm',
  findObstacle: (adapter: GpuAdapterFacts) => string | undefined,
): UsableDevice | Unavailable {
  // ONNX Runtime and llama.cpp run as WebAssembly, even when they compute on WebGPU.
  if ('unavailable' in wasm) return { kind: 'unavailable', reason: wasm.unavailable }
  const isForced = device === 'webgpu'
  let obstacle: string | undefined
  if ('unavailable' in webgpu) obstacle = webgpu.unavailable
  else {
    const { adapter } = webgpu
    obstacle = findObstacle(adapter)
    const isWanted = isForced || (device === 'auto' && !adapter.isFallbackAdapter)
    if (obstacle === undefined && isWanted) return { kind: 'webgpu', adapter }
  }
  if (!isForced) return { kind: 'wasm' }
  return { kind: 'unavailable', reason: `${obstacle} Use device: 'auto' to fall back to WASM.` }
}
