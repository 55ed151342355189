import { createGpuDevice } from './gpu-device.js'
import { findPool, type PipelineRecipe } from './pipeline-pool.js'
import { joinShaders, nameShaders, readShaders, writeShaders } from './shader-records.js'

/** Provides the GPU devices of a load. */
export interface DeviceSource {
  /** @throws RivuletError `device-lost` */
  create(): Promise<GPUDevice>
  /** Remembers the shaders that were used. */
  save(): Promise<void>
  /** Destroys the device that was created ahead and not used. */
  close(): Promise<void>
}

/** How long after the last new shader the shaders are remembered, in milliseconds. */
const saveDelayMs = 500

/**
 * Creates the first device at once, and compiles the shaders that the model has used on this device before. Both run while the
 * model's files are read.
 * @param parts what the shaders depend on
 */
export function openDeviceSource(parts: readonly unknown[]): DeviceSource {
  const naming = nameShaders(parts)
  const reading = naming.then((key) => (key === undefined ? [] : readShaders(key)))
  let earlier: readonly PipelineRecipe[] = []
  let newest: GPUDevice | undefined
  let timer: ReturnType<typeof setTimeout> | undefined
  let first: Promise<GPUDevice> | undefined = prepare()
  // Without a device, `create` reports the reason.
  first.catch(() => {})

  async function prepare(): Promise<GPUDevice> {
    const [device, recipes] = await Promise.all([createGpuDevice(), reading])
    earlier = recipes
    const pool = findPool(device)
    void pool?.compile(recipes)
    if (pool) pool.onUse = saveLater
    newest = device
    void forgetWhenLost(device)
    return device
  }

  /** A download can take long, and a device can be lost while nobody uses it: after sleep, for example. */
  async function forgetWhenLost(device: GPUDevice): Promise<void> {
    await device.lost
    if (newest === device) first = undefined
  }

  function saveLater(): void {
    clearTimeout(timer)
    timer = setTimeout(save, saveDelayMs)
  }

  async function save(): Promise<void> {
    clearTimeout(timer)
    const key = await naming
    const used = newest && findPool(newest)?.used
    if (key === undefined || !used || used.length === 0) return
    const joined = joinShaders(used, earlier)
    if (JSON.stringify(joined) === JSON.stringify(earlier)) return
    earlier = joined
    await writeShaders(key, joined)
  }

  return {
    create() {
      const creating = first ?? prepare()
      first = undefined
      return creating
    },
    save,
    async close() {
      const unused = await first?.catch(() => undefined)
      first = undefined
      unused?.destroy()
    },
  }
}
