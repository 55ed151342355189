import type { InferenceSession, Tensor } from 'onnxruntime-web'
import { RivuletError } from '../../lib/contract/errors.js'
import { decodeFloat16 } from './float16.js'

export function readOutput(outputs: InferenceSession.OnnxValueMapType, name: string): Tensor {
  const output = outputs[name]
  if (!output)
    throw new RivuletError(
      'generation-failed',
      `ONNX Runtime did not return the output "${name}" of the model.`,
    )
  // All outputs of a decoder are tensors: `readStateSchema` has checked their names.
  return output as Tensor
}

/** Reads the logits after the last token of each row, [rows, vocabulary], and frees them. @param logits [rows, length, vocabulary] */
export async function readLogits(logits: Tensor): Promise<Float32Array> {
  const [rows = 1, length = 1, vocabulary = 0] = logits.dims
  // The type of the logits is float32 or float16.
  const data = (await logits.getData()) as Float32Array | Uint16Array
  logits.dispose()
  const last = length === 1 ? data : data.slice((length - 1) * vocabulary)
  if (rows > 1 && length > 1) throw new Error('A run of several rows computes one token of each.')
  return last instanceof Uint16Array ? Float32Array.from(last, decodeFloat16) : Float32Array.from(last)
}
