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
  tensor.dataLocation = TensorProto_DataLocation.EXTERNAL
  const entries = { location, offset: String(byteOffset), length: String(byteLength) }
  tensor.externalData = Object.entries(entries).map(([key, value]) =>
    create(StringStringEntryProtoSchema, { key, value }),
  )
}
