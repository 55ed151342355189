import { readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import type { GrpcWebLoadOptions } from '../../../lib/contract/grpc-web-options.js'
import type { RemoteLoadOptions } from '../../../lib/contract/remote-options.js'
import type { WorkerModelInfo } from '../../../lib/contract/worker-api.js'
import type { Backend } from '../../backend.js'
import { createGrpcWebBackend } from './grpc-web-backend.js'

type Settings = Partial<RemoteLoadOptions> & { readonly transport?: Partial<GrpcWebLoadOptions> }
export type GrpcWebBackend = Backend<RemoteLoadOptions & { readonly transport: GrpcWebLoadOptions }>

/** The folder of the demo's model: its tokenizer has 2,048 tokens, and its chat template has no channels. */
export const storiesFolder = resolve(import.meta.dirname, '../../../demo/public/models/stories')

const fileNames = ['config.json', 'generation_config.json', 'tokenizer.json', 'tokenizer_config.json']

/** Opens the backend in Node, with the tokenizer in a folder on disk. */
export async function openGrpcWeb(
  baseUrl: string,
  settings: Settings = {},
  folder = storiesFolder,
  changed: Readonly<Record<string, (json: Record<string, unknown>) => void>> = {},
): Promise<{ readonly backend: GrpcWebBackend; readonly info: WorkerModelInfo }> {
  const files = fileNames.map((name) => {
    const json = JSON.parse(readFileSync(join(folder, name), 'utf8')) as Record<string, unknown>
    changed[name]?.(json)
    return [name, new File([JSON.stringify(json)], name)] as const
  })
  const backend = createGrpcWebBackend()
  const { signal } = new AbortController()
  const info = await backend.load(
    {
      lifeLock: '',
      model: { kind: 'local', name: 'stories', files: new Map(files) },
      download: { headers: {}, sha256: {}, revalidate: true, idleTimeoutMs: 1000 },
      options: {
        baseUrl,
        model: 'story-model',
        headers: { authorization: 'Bearer secret-key-1' },
        idleTimeoutMs: 5000,
        canContinue: false,
        server: undefined,
        supports: {},
        skipModelList: false,
        allowMissingFinishReason: false,
        extraBody: {},
        ...settings,
        transport: { chatTemplate: undefined, timeoutMs: undefined, resume: true, ...settings.transport },
      },
    },
    { onProgress() {}, onLost() {}, signal },
  )
  return { backend, info }
}
