/** The values of TensorProto.DataType (ONNX, onnx.proto3) that are used here. */
export const tensorTypes = { float32: 1, uint8: 2, float16: 10 } as const
