/** The values of TensorProto.DataType (ONNX, onnx.proto3) that are used here. */
export const tensorTypes = {
  float32: 1,
  uint8: 2,
  int8: 3,
  int32: 6,
  int64: 7,
  bool: 9,
  float16: 10,
  float64: 11,
} as const
