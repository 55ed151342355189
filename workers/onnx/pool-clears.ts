import { operators } from './graph-operators.js'
import type { ModelProto } from './onnx_pb.js'

/** Operators of decoders that `operators` does not compute. */
const attentionOperators = new Set([
  'GroupQueryAttention',
  'MultiHeadAttention',
  'Attention',
  'CausalConvWithState',
])

/**
 * False if all kernels of a graph write their whole outputs, so that a buffer from ONNX Runtime's pool need not be zero. Kernels that
 * add to an output, such as that of `QMoE`, clear it with the same command as the pool.
 */
export function needsPoolClears({ graph }: ModelProto): boolean {
  const isWritten = (opType: string) => operators.has(opType) && opType !== 'ScatterND'
  return !graph?.node.every(({ opType }) => isWritten(opType) || attentionOperators.has(opType))
}

/**
 * Leaves out the commands of ONNX Runtime that fill buffers with zeros. Version 1.30.0 fills each buffer that a run takes from its
 * pool, so that a program cannot read what another has computed (https://github.com/microsoft/onnxruntime/pull/32063); a device of
 * ours computes one model only. Its kernels do not need it: its memory planner gives the buffer of one node to the next without that.
 * For a prompt of 1,000 tokens and a model of 135M parameters, it writes 940 MB.
 */
export function leaveOutPoolClears(device: GPUDevice): void {
  const { createCommandEncoder } = device
  device.createCommandEncoder = (descriptor) => {
    const encoder = createCommandEncoder.call(device, descriptor)
    encoder.clearBuffer = () => {}
    return encoder
  }
}
