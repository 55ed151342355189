/** A WebGPU adapter, as far as it matters for choosing a model variant. */
export interface GpuAdapterFacts {
  readonly vendor: string
  readonly architecture: string
  readonly description: string
  /** Computes on the CPU (SwiftShader, WARP): slower than WASM, so never chosen by itself. */
  readonly isFallbackAdapter: boolean
  /** Can compute in 16-bit floats. */
  readonly hasShaderF16: boolean
  /** The largest buffer that it takes: no weight of a model may be larger. */
  readonly maxBufferBytes: number
}

/** What this browser can compute on; where it cannot, a sentence that says why. */
export interface Devices {
  readonly webgpu: { readonly adapter: GpuAdapterFacts } | { readonly unavailable: string }
  readonly wasm: { readonly hasThreads: boolean } | { readonly unavailable: string }
}

/** Asks the browser for its devices. `navigator.gpu` alone proves nothing: an adapter is requested. */
export async function probeDevices(): Promise<Devices> {
  return { webgpu: await probeWebGpu(), wasm: probeWasm() }
}

async function probeWebGpu(): Promise<Devices['webgpu']> {
  if (!('gpu' in navigator)) {
    return {
      unavailable: globalThis.isSecureContext
        ? 'This browser has no WebGPU.'
        : 'WebGPU needs a secure page: serve it over https or from localhost.',
    }
  }
  try {
    const adapter = await navigator.gpu.requestAdapter({ powerPreference: 'high-performance' })
    if (!adapter) return { unavailable: 'This browser has WebGPU, but no graphics adapter that it may use.' }
    const { vendor, architecture, description, isFallbackAdapter } = adapter.info
    const hasShaderF16 = adapter.features.has('shader-f16')
    const { maxBufferSize: maxBufferBytes } = adapter.limits
    return {
      adapter: { vendor, architecture, description, isFallbackAdapter, hasShaderF16, maxBufferBytes },
    }
  } catch (error) {
    return { unavailable: `WebGPU gave no adapter: ${String(error)}` }
  }
}

/** A module that uses one SIMD instruction: every runtime here needs SIMD. From wasm-feature-detect. */
const simdModule = Uint8Array.of(
  0,
  97,
  115,
  109,
  1,
  0,
  0,
  0,
  1,
  5,
  1,
  96,
  0,
  1,
  123,
  3,
  2,
  1,
  0,
  10,
  10,
  1,
  8,
  0,
  65,
  0,
  253,
  15,
  253,
  98,
  11,
)

function probeWasm(): Devices['wasm'] {
  if (typeof WebAssembly !== 'object') {
    return { unavailable: 'WebAssembly is off, or the page\'s CSP lacks "wasm-unsafe-eval".' }
  }
  if (!WebAssembly.validate(simdModule)) return { unavailable: 'WebAssembly here has no SIMD.' }
  return { hasThreads: globalThis.crossOriginIsolated === true }
}
