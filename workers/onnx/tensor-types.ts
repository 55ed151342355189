/** TensorProto.DataType (ONNX, onnx.proto3), as far as it is read here. */
export const tensorTypes = { float32: 1, uint8: 2, float16: 10 } as const
