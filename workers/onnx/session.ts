import type { Env, InferenceSession, TensorConstructor } from 'onnxruntime-web'
import { hasJspi } from '../../lib/contract/devices.js'
import type { OnnxBuild, OnnxLoadOptions } from '../../lib/contract/onnx-options.js'
import { RivuletError, asRivuletError, describeError } from '../../lib/contract/errors.js'
import { createLoss } from '../gpu-loss.js'
import type { ModelWeights } from './model-weights.js'
import { prepareWeightFiles } from './weight-files.js'

/** The part of onnxruntime-web that is used here. All builds of onnxruntime-web have this part. */
export interface OnnxRuntime {
  readonly env: Env
  readonly InferenceSession: {
    create(model: Uint8Array, options: InferenceSession.SessionOptions): Promise<InferenceSession>
  }
  readonly Tensor: TensorConstructor
}

/**
 * Chooses the build of onnxruntime-web for a device. On WebGPU, WebAssembly must wait for promises. With JSPI the browser does
 * that; without it, the code of a larger build does.
 */
export function chooseBuild(
  device: 'webgpu' | 'wasm',
  wasmPaths: OnnxLoadOptions['wasmPaths'] = {},
): OnnxBuild {
  if (device === 'wasm') return device
  // The app serves only the file of the other build.
  const isMissing = wasmPaths.jspi === undefined && wasmPaths.webgpu !== undefined
  return hasJspi() && !isMissing ? 'jspi' : 'webgpu'
}

const importBuild = {
  wasm: () => import('onnxruntime-web/wasm'),
  webgpu: () => import('onnxruntime-web/webgpu'),
  jspi: () => import('onnxruntime-web/jspi'),
} as const satisfies Record<OnnxBuild, () => Promise<OnnxRuntime>>

/**
 * Loads the build of onnxruntime-web for a device. The builds with WebGPU are larger than the plain one.
 * @throws RivuletError `backend-unavailable`
 */
export async function loadOnnxRuntime(
  device: 'webgpu' | 'wasm',
  wasmPaths: OnnxLoadOptions['wasmPaths'] = {},
): Promise<OnnxRuntime> {
  const build = chooseBuild(device, wasmPaths)
  try {
    const [runtime, { moduleAddress }] = await Promise.all([
      importBuild[build](),
      import('./module-address.js'),
    ])
    // Each thread of ONNX Runtime runs the script that contains ONNX Runtime. If a bundler merged that code into this
    // worker's script, each thread would run this worker instead, and the load would never finish. Vite 8 merges them if
    // `worker: { format: 'es' }` is not set.
    if (moduleAddress === self.location.href) runtime.env.wasm.numThreads = 1
    // A start with threads cannot be repeated (start-record.ts), and hardly any model has nodes that run on the CPU there.
    if (build === 'jspi') runtime.env.wasm.numThreads = 1
    const wasm = wasmPaths[build]
    // Sets only the URL of the file: with a path prefix, ONNX Runtime would also load its JavaScript from that path,
    // bypassing the bundler.
    if (wasm !== undefined) runtime.env.wasm.wasmPaths = { wasm }
    return runtime
  } catch (error) {
    throw asRivuletError(error, 'backend-unavailable', 'onnxruntime-web could not be loaded')
  }
}

/** Where a session runs. With graph capture, ONNX Runtime can replay a run on the same buffers. */
export type SessionTarget =
  | { readonly kind: 'wasm' }
  | { readonly kind: 'webgpu'; readonly device: GPUDevice; readonly graphCapture: boolean }

/**
 * Creates an ONNX Runtime session for a graph.
 * @throws RivuletError `model-invalid`, `model-unsupported`, `memory-exceeded`; `download-failed` if an external file cannot be
 *   read; `backend-unavailable` if the WebAssembly of ONNX Runtime cannot be loaded
 */
export async function createSession(
  runtime: OnnxRuntime,
  target: SessionTarget,
  { graph, externalData }: Pick<ModelWeights, 'graph' | 'externalData'>,
): Promise<InferenceSession> {
  const weights = prepareWeightFiles(externalData, target.kind === 'webgpu' ? target.device : undefined)
  const options: InferenceSession.SessionOptions = { externalData: [...weights.files], logSeverityLevel: 3 }
  if (target.kind === 'wasm') options.executionProviders = ['wasm']
  else {
    options.executionProviders = [provideWebGpu(target, options)]
    options.preferredOutputLocation = 'gpu-buffer'
  }
  try {
    const session = await runtime.InferenceSession.create(graph, options).catch((error: unknown) => {
      weights.check()
      throw error
    })
    try {
      weights.check()
      return session
    } catch (error) {
      await session.release()
      throw error
    }
  } catch (error) {
    if (/no available backend found/i.test(describeError(error))) throw createStartError(error)
    throw createRefusal(error, target.kind)
  } finally {
    weights.end()
  }
}

/** Creates the error for a WebAssembly of ONNX Runtime that does not start. */
export function createStartError(error: unknown): RivuletError {
  return new RivuletError(
    'backend-unavailable',
    `ONNX Runtime could not start. If its WebAssembly was not found, pass its URL in onnx({ wasmPaths }). Reason: ${describeError(error)}`,
    { cause: error },
  )
}

/**
 * Matches the errors of ONNX Runtime for a graph that it has no kernel for. ONNX Runtime reports them when it opens the
 * graph, or when it runs the graph for the first time.
 */
const unsupportedPatterns = [
  /NOT_IMPLEMENTED|Could not find an implementation|not a registered function/i,
  // A kernel exists, but refuses an input or attribute of its node.
  /Non-zero status code returned while running \w+ node/,
]

/**
 * Matches the errors of ONNX Runtime and of three engines (V8, SpiderMonkey and JavaScriptCore) when memory is missing. A node
 * also fails then, but the graph is not the reason.
 */
const memoryPattern =
  /bad_alloc|out of memory|\bOOM\b|(failed to|could not|can't) allocate|allocat\w* memory|allocation failed/i

/** Matches the errors of ONNX Runtime when the GPU is lost, also the error of a node. */
const lossPattern = /device\b.*\blost/i

/** Creates the error for a graph that ONNX Runtime refused to open, or to run for the first time. */
export function createRefusal(error: unknown, device: SessionTarget['kind']): RivuletError {
  if (error instanceof RivuletError) return error
  const reason = describeError(error)
  if (lossPattern.test(reason)) return createLoss(reason, error)
  if (memoryPattern.test(reason))
    return new RivuletError(
      'memory-exceeded',
      `The model does not fit into the memory that this device has left. Use a smaller model or dtype. Reason: ${reason}`,
      { cause: error },
    )
  if (!unsupportedPatterns.some((pattern) => pattern.test(reason)))
    return new RivuletError('model-invalid', `ONNX Runtime could not open the model: ${reason}`, {
      cause: error,
    })
  const [deviceName, other] = device === 'wasm' ? ['the CPU', 'webgpu'] : ['WebGPU', 'wasm']
  return new RivuletError(
    'model-unsupported',
    `ONNX Runtime cannot run this model on ${deviceName}. Try onnx({ device: '${other}' }), another dtype, or another export of the model. Reason: ${reason}`,
    { cause: error },
  )
}

/**
 * Configures the WebGPU execution provider for `device`, with graph capture in the provider only.
 *
 * In onnxruntime-web 1.30.0, two places read `enableGraphCapture`: the provider, which captures, and the surrounding
 * JavaScript, which then fails on preallocated outputs (microsoft/onnxruntime#32456). The provider reads the option after
 * the property `device` of this object and before `validationMode`, so the option is true only between these two reads.
 * A version that reads in another order captures nothing or fails; the decoder's self-test detects both.
 */
function provideWebGpu(
  { device, graphCapture }: { readonly device: GPUDevice; readonly graphCapture: boolean },
  options: InferenceSession.SessionOptions,
): InferenceSession.ExecutionProviderConfig {
  options.enableGraphCapture = false
  return {
    name: 'webgpu',
    get device() {
      options.enableGraphCapture = graphCapture
      return device
    },
    get validationMode(): 'basic' {
      options.enableGraphCapture = false
      return 'basic'
    },
  }
}
