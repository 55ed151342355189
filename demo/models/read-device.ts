import { availability } from 'rivulet'
import { llamaCpp } from 'rivulet/llama-cpp'
import { onnx } from 'rivulet/onnx'
import { promptApi } from 'rivulet/prompt-api-backend'
import { webLlm } from 'rivulet/web-llm'
import type { DeviceFacts } from './device-fit.js'

/** Reads what the browser reports about the device. Starts no worker. */
export async function readDevice(): Promise<Omit<DeviceFacts, 'freeStorageBytes'>> {
  const { deviceMemory } = navigator as Navigator & { readonly deviceMemory?: number }
  return {
    // The model name does not matter: only the device is checked.
    availability: await availability(
      onnx(),
      llamaCpp(),
      webLlm({ model: 'any' }),
      promptApi({ allowDownload: true }),
    ),
    deviceMemoryBytes: deviceMemory === undefined ? undefined : deviceMemory * 2 ** 30,
  }
}
