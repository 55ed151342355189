import { fromBinary, toBinary } from '@bufbuild/protobuf'
import { ModelProtoSchema, type TensorProto } from './onnx_pb.js'

/* Runs in Node and in the browser. */

const embedding = 'model.embed_tokens.weight'

/**
 * Repeats the tokens of the embedded model, so that its embedding is as large as that of a model with a large vocabulary. Each
 * repeated token has the logits of the original, which has the lower id.
 */
export function repeatVocabulary(graphFile: Uint8Array, times: number): Uint8Array<ArrayBuffer> {
  const model = fromBinary(ModelProtoSchema, graphFile)
  const { initializer, output } = model.graph!
  const find = (name: string) => initializer.find((tensor) => tensor.name === name)!
  const rows = Number(find(`${embedding}.int8`).dims[0])
  for (const name of [`${embedding}.int8`, `${embedding}.scales`]) repeatRows(find(name), times)
  for (const tensor of initializer.filter(({ name }) => name.startsWith(`constants.shape.${rows}x`))) {
    const [, ...sizes] = new BigInt64Array(tensor.rawData.slice().buffer)
    tensor.rawData = new Uint8Array(BigInt64Array.of(BigInt(rows * times), ...sizes).buffer)
  }
  const { value } = output.find(({ name }) => name === 'logits')!.type!.value as {
    value: { shape: { dim: { value: { case?: string; value?: unknown } }[] } }
  }
  const last = value.shape.dim.at(-1)!
  if (last.value.case === 'dimValue') last.value.value = BigInt(rows * times)
  return toBinary(ModelProtoSchema, model)
}

function repeatRows(tensor: TensorProto, times: number): void {
  const { rawData } = tensor
  const repeated = new Uint8Array(rawData.length * times)
  for (let time = 0; time < times; time += 1) repeated.set(rawData, time * rawData.length)
  tensor.rawData = repeated
  tensor.dims[0] = tensor.dims[0]! * BigInt(times)
}
