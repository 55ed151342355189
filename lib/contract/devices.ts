import { isServer, serverReason } from './is-server.js'

/** The properties of a WebGPU adapter that decide which model variants can run. */
export interface GpuAdapterFacts {
  readonly vendor: string
  readonly architecture: string
  readonly description: string
  /**
   * True if the adapter is software that computes on the CPU (SwiftShader, WARP). Such an adapter is slower than WASM, so
   * `auto` never selects it.
   */
  readonly isFallbackAdapter: boolean
  /** True if shaders can compute in 16-bit floats (the WebGPU feature `shader-f16`). */
  readonly hasShaderF16: boolean
  /** The maximum size of a buffer, in bytes. Each weight of a model must fit into one buffer. */
  readonly maxBufferBytes: number
}

/** The devices of this browser. A missing device has `unavailable` instead: a sentence with the reason. */
export interface Devices {
  readonly webgpu: { readonly adapter: GpuAdapterFacts } | { readonly unavailable: string }
  readonly wasm: WasmFacts | { readonly unavailable: string }
}

/** The features of WebAssembly that decide what can run. */
export interface WasmFacts {
  /** True if the page is cross-origin isolated and has `SharedArrayBuffer`, the memory that threads share. */
  readonly hasThreads: boolean
  /** True if memories can have 64-bit addresses (memory64). `llamaCpp()` needs this, or its option `compat`. */
  readonly hasMemory64: boolean
  /** True if WebAssembly can wait for promises (JSPI). `llamaCpp()` needs this for WebGPU; `onnx()` then loads less. */
  readonly hasJspi: boolean
}

/** Detects the devices of this browser; on a server, none. Requests an adapter, because `navigator.gpu` can exist without any adapter. */
export async function probeDevices(): Promise<Devices> {
  if (isServer()) return { webgpu: { unavailable: serverReason }, wasm: { unavailable: serverReason } }
  return { webgpu: await probeWebGpu(), wasm: probeWasm() }
}

async function probeWebGpu(): Promise<Devices['webgpu']> {
  if (!('gpu' in navigator)) {
    return {
      unavailable: globalThis.isSecureContext
        ? 'This browser has no WebGPU.'
        : 'WebGPU needs a secure context. Serve the page over https or from localhost.',
    }
  }
  try {
    const adapter = await navigator.gpu.requestAdapter({ powerPreference: 'high-performance' })
    if (!adapter)
      return { unavailable: 'This browser supports WebGPU, but found no graphics adapter that it can use.' }
    const { vendor, architecture, description, isFallbackAdapter } = adapter.info
    const hasShaderF16 = adapter.features.has('shader-f16')
    const { maxBufferSize: maxBufferBytes } = adapter.limits
    return {
      adapter: { vendor, architecture, description, isFallbackAdapter, hasShaderF16, maxBufferBytes },
    }
  } catch (error) {
    return { unavailable: `The browser could not open a graphics adapter: ${String(error)}` }
  }
}

/** A WebAssembly module with one SIMD instruction, from wasm-feature-detect. Every runtime of this library needs SIMD. */
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
    return {
      unavailable: "WebAssembly is off, or the page's content security policy lacks 'wasm-unsafe-eval'.",
    }
  }
  if (!WebAssembly.validate(simdModule))
    return { unavailable: "This browser's WebAssembly has no SIMD. Update the browser." }
  return {
    // WebKit can be isolated and have no `SharedArrayBuffer`.
    hasThreads: globalThis.crossOriginIsolated === true && typeof SharedArrayBuffer === 'function',
    hasMemory64: hasMemory64(),
    hasJspi: hasJspi(),
  }
}

/**
 * Returns true if the browser lets WebAssembly wait for promises: JavaScript Promise Integration
 * (https://webassembly.github.io/js-promise-integration/js-api/).
 */
export function hasJspi(): boolean {
  return 'Suspending' in WebAssembly
}

function hasMemory64(): boolean {
  try {
    // TypeScript's library does not have the option yet.
    return Boolean(
      new WebAssembly.Memory({ address: 'i64', initial: 1n } as unknown as WebAssembly.MemoryDescriptor),
    )
  } catch {
    return false
  }
}
