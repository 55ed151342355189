import { probeDevices } from '../../lib/contract/devices.js'
import { RivuletError } from '../../lib/contract/errors.js'
import type { WebLlmLoadOptions, WebLlmModelRecord } from '../../lib/contract/web-llm-options.js'
import type { Backend } from '../backend.js'
import { describeAdapter } from '../describe-device.js'
import { checkFiles } from './check-files.js'
import { explainFailure } from './explain-failure.js'
import { generateTokens, type LoadedEngine } from './generate.js'
import { createProgressReader } from './load-progress.js'
import type { AppConfig, MlcEngine, WebLlmRuntime } from './runtime.js'
import { watchDevices } from './watch-devices.js'

/** MLC models on web-llm's `MLCEngine`, which runs in this worker: its own worker's handler would cost a round trip a token. */
export function createWebLlmBackend(loadRuntime: () => Promise<WebLlmRuntime>): Backend<WebLlmLoadOptions> {
  let loaded: LoadedEngine | undefined
  let stopWatching = () => {}
  return {
    // It has one KV cache, and one flag that interrupts whatever runs.
    maxConcurrentGenerations: 1,
    stepsInFlight: 0,

    async load({ options }, { onProgress, onLost, signal }) {
      const runtime = await loadRuntime()
      const modelList = [...options.modelRecords, ...runtime.prebuiltModels]
      const record = findRecord(modelList, options.model)
      const config: AppConfig = { model_list: modelList, cacheBackend: options.cache }
      const isStored = await runtime.hasModelInCache(options.model, config)
      const { context_window_size: trained } = isStored ? {} : await checkFiles(record, signal)
      const adapter = await describeGpu()
      const readProgress = createProgressReader()
      const engine = runtime.createEngine(config, (progress) => onProgress(readProgress(progress)))
      stopWatching = watchDevices((reason) =>
        onLost(new RivuletError('device-lost', `The GPU was lost: ${reason}`)),
      )
      const { contextLength = record.overrides?.context_window_size } = options
      await reload(engine, options.model, contextLength)
      signal.throwIfAborted()
      loaded = { engine, last: undefined }
      return {
        model: options.model,
        backend: 'web-llm',
        device: 'webgpu',
        deviceDescription: adapter,
        dtype: /q\d+f\d+(?:_\d+)?/.exec(options.model)?.[0],
        execution: 'mlc',
        contextLength: contextLength ?? trained,
        hasChatTemplate: true,
        canContinue: false,
      }
    },

    generate(request, { signal }) {
      if (!loaded) throw new RivuletError('engine-disposed', 'No model is loaded.')
      return generateTokens(loaded, request, signal)
    },

    async unload() {
      // It destroys its device, which is no loss.
      stopWatching()
      const released = loaded
      loaded = undefined
      await released?.engine.unload()
    },
  }
}

const maxNamedModels = 5

/** @throws RivuletError `model-not-found`, naming what is called alike */
function findRecord(models: readonly WebLlmModelRecord[], id: string): WebLlmModelRecord {
  const found = models.find(({ model_id: known }) => known === id)
  if (found) return found
  const [family = ''] = id.toLowerCase().split('-')
  const alike = models
    .map(({ model_id: known }) => known)
    .filter((known) => known.toLowerCase().includes(family))
  const names = alike.slice(0, maxNamedModels).join(', ')
  throw new RivuletError(
    'model-not-found',
    `web-llm has no "${id}"${names && `; it has: ${names}`}. Others can be given as webLlm({ modelRecords }).`,
  )
}

/** @throws RivuletError `backend-unavailable` */
async function describeGpu(): Promise<string> {
  const { webgpu } = await probeDevices()
  if ('unavailable' in webgpu) throw new RivuletError('backend-unavailable', webgpu.unavailable)
  return describeAdapter(webgpu.adapter)
}

/** @throws RivuletError as `explainFailure`; web-llm resolves also when it gave up, and then has no model */
async function reload(engine: MlcEngine, model: string, contextLength: number | undefined): Promise<void> {
  try {
    await engine.reload(model, contextLength === undefined ? {} : { context_window_size: contextLength })
    await engine.getMessage()
  } catch (error) {
    const isGivenUp = (error as Error).name === 'ModelNotLoadedError'
    if (isGivenUp) throw new RivuletError('model-invalid', 'web-llm gave up loading, and does not say why.')
    throw explainFailure(error, 'web-llm could not load the model')
  }
}
