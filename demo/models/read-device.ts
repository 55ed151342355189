import { availability } from 'rivulet'
import { llamaCpp } from 'rivulet/llama-cpp'
import { onnx } from 'rivulet/onnx'
import { webLlm } from 'rivulet/web-llm'
import type { DeviceFacts } from './device-fit.js'

/** Asks the browser what it has; starts nothing. */
export async function readDevice(): Promise<Omit<DeviceFacts, 'freeStorageBytes'>> {
  const { deviceMemory } = navigator as Navigator & { readonly deviceMemory?: number }
  return {
    // Any model's name does: what is asked for is the device.
    availability: await availability(onnx(), llamaCpp(), webLlm({ model: 'any' })),
    deviceMemoryBytes: deviceMemory === undefined ? undefined : deviceMemory * 2 ** 30,
  }
}
