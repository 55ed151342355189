/*
 * While `recordDispatches` records a run of ONNX Runtime, other conversations go on. It replaces methods of the device, so
 * that their commands would be recorded, too. These are the methods of the prototype.
 */

/** Creates an encoder whose commands are not recorded. */
export function createOwnEncoder(device: GPUDevice): GPUCommandEncoder {
  return GPUDevice.prototype.createCommandEncoder.call(device)
}

/** Creates a bind group that is not recorded. */
export function createOwnBindGroup(device: GPUDevice, descriptor: GPUBindGroupDescriptor): GPUBindGroup {
  return GPUDevice.prototype.createBindGroup.call(device, descriptor)
}
