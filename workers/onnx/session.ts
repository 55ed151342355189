import type { Env, InferenceSession, TensorConstructor } from 'onnxruntime-web'
import type { OnnxLoadOptions } from '../../lib/contract/onnx-options.js'
import { RivuletError, asRivuletError, describeError } from '../../lib/contract/errors.js'
import type { ModelWeights } from './model-weights.js'

/** What is used of onnxruntime-web; each of its builds has it. */
export interface OnnxRuntime {
  readonly env: Env
  readonly InferenceSession: {
    create(model: Uint8Array, options: InferenceSession.SessionOptions): Promise<InferenceSession>
  }
  readonly Tensor: TensorConstructor
}

/**
 * Loads the build for a device: the one with WebGPU is twice the size of the plain one.
 * @throws RivuletError `backend-unavailable`
 */
export async function loadOnnxRuntime(
  device: 'webgpu' | 'wasm',
  wasmPaths: OnnxLoadOptions['wasmPaths'] = {},
): Promise<OnnxRuntime> {
  try {
    const [runtime, { moduleAddress }] = await Promise.all([
      device === 'webgpu' ? import('onnxruntime-web/webgpu') : import('onnxruntime-web/wasm'),
      import('./module-address.js'),
    ])
    // ONNX Runtime's threads run its own script. Where that is this worker's, they would start this worker instead, and
    // the load would wait for them for ever: so do Vite 8's workers without `worker: { format: 'es' }`.
    if (moduleAddress === self.location.href) runtime.env.wasm.numThreads = 1
    const wasm = wasmPaths[device]
    // The file alone: with a prefix ONNX Runtime would also load its JavaScript from there, past the bundler.
    if (wasm !== undefined) runtime.env.wasm.wasmPaths = { wasm }
    return runtime
  } catch (error) {
    throw asRivuletError(error, 'backend-unavailable', 'onnxruntime-web could not be loaded')
  }
}

/** Where a session computes. With graph capture, a run on the same buffers can be repeated as it was dispatched. */
export type SessionTarget =
  | { readonly kind: 'wasm' }
  | { readonly kind: 'webgpu'; readonly device: GPUDevice; readonly graphCapture: boolean }

/** @throws RivuletError `model-invalid`, `model-unsupported`, `backend-unavailable` where the WebAssembly cannot be had */
export async function createSession(
  runtime: OnnxRuntime,
  target: SessionTarget,
  { graph, externalData }: Pick<ModelWeights, 'graph' | 'externalData'>,
): Promise<InferenceSession> {
  const options: InferenceSession.SessionOptions = { externalData: [...externalData], logSeverityLevel: 3 }
  if (target.kind === 'wasm') options.executionProviders = ['wasm']
  else {
    options.executionProviders = [provideWebGpu(target, options)]
    options.preferredOutputLocation = 'gpu-buffer'
  }
  try {
    return await runtime.InferenceSession.create(graph, options)
  } catch (error) {
    const reason = describeError(error)
    if (/no available backend found/i.test(reason)) {
      throw new RivuletError(
        'backend-unavailable',
        `ONNX Runtime could not be started; where its WebAssembly is not found, name it in onnx({ wasmPaths }): ${reason}`,
        { cause: error },
      )
    }
    const isUnsupported = /NOT_IMPLEMENTED|Could not find an implementation|not a registered function/i.test(
      reason,
    )
    throw new RivuletError(
      isUnsupported ? 'model-unsupported' : 'model-invalid',
      `ONNX Runtime refused the model: ${reason}`,
      { cause: error },
    )
  }
}

/**
 * The WebGPU execution provider on our device, with graph capture in the provider alone.
 *
 * `enableGraphCapture` of onnxruntime-web 1.30.0 reaches two places: the provider, which captures, and the JavaScript
 * around it, which then fails on outputs that are allocated before (microsoft/onnxruntime#32456). The provider's option
 * is read between `device` and `validationMode` of this object, and the option is true just there.
 * A version that reads in another order captures nothing, or fails: the decoder's self-test sees either.
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
