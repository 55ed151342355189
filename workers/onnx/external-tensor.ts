import { create } from '@bufbuild/protobuf'
import { StringStringEntryProtoSchema, TensorProto_DataLocation, type TensorProto } from './onnx_pb.js'

/** Weights that are larger than this, in bytes, become external data. Smaller ones may be constants that shapes need. */
export const smallTensorBytes = 1024

/**
 * Makes a weight external data at its offset in the file that contains it.
 * @param tensor a weight whose bytes are a view of the file, so its byte offset is the offset in the file
 * @param location the file's path, relative to the graph
 */
export function moveToFile(tensor: TensorProto, location: string): void {
  const { byteOffset, byteLength } = tensor.rawData
  tensor.rawData = new Uint8Array()
  referToFile(tensor, { location, offset: byteOffset, length: byteLength })
}

/** Makes a tensor without bytes external data. Returns it. @param place the file's path, relative to the graph, and the bytes in it */
export function referToFile(
  tensor: TensorProto,
  place: { readonly location: string; readonly offset: number; readonly length: number },
): TensorProto {
  tensor.dataLocation = TensorProto_DataLocation.EXTERNAL
  tensor.externalData = Object.entries(place).map(([key, value]) =>
    create(StringStringEntryProtoSchema, { key, value: String(value) }),
  )
  return tensor
}
