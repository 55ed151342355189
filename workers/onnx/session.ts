import type { Env, InferenceSession, TensorConstructor } from 'onnxruntime-web'
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
export async function loadOnnxRuntime(device: 'webgpu' | 'wasm'): Promise<OnnxRuntime> {
  try {
    const runtime =
      device === 'webgpu' ? await import('onnxruntime-web/webgpu') : await import('onnxruntime-web/wasm')
    runtime.env.logLevel = 'error'
    return runtime
  } catch (error) {
    throw asRivuletError(error, 'backend-unavailable', 'onnxruntime-web could not be loaded')
  }
}

/** Opens a session whose outputs (the KV cache above all) stay on the device. @throws RivuletError `model-invalid`, `model-unsupported` */
export async function createSession(
  runtime: OnnxRuntime,
  device: 'webgpu' | 'wasm',
  { graph, externalData }: ModelWeights,
): Promise<InferenceSession> {
  try {
    return await runtime.InferenceSession.create(graph, {
      executionProviders: [device],
      logSeverityLevel: 3,
      externalData: [...externalData],
      ...(device === 'webgpu' && { preferredOutputLocation: 'gpu-buffer' }),
    })
  } catch (error) {
    const reason = describeError(error)
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
