import type { BackendFactory, ModelSource } from 'rivulet'
import type { OnnxDevice, OnnxDtype } from 'rivulet/onnx'

/** What to load. */
export interface ModelChoice {
  /** Empty is the model that is served with this page; a name to show, where there are `files`. */
  readonly model: string
  readonly backend: string
  /** The API of a server, where that is to answer. */
  readonly server: string
  readonly device: string
  /** Empty is what the library takes by itself. */
  readonly dtype: string
  /** The visitor's own. They stand in no address: it then says what the page loads without them. */
  readonly files?: OwnFiles | undefined
}

export type OwnFiles = Exclude<ModelSource, string | URL>

export const defaultChoice = {
  model: '',
  backend: 'auto',
  server: '',
  device: 'auto',
  dtype: '',
} satisfies ModelChoice

export const backendChoices = {
  auto: 'Automatic',
  onnx: 'ONNX Runtime',
  'llama-cpp': 'llama.cpp',
  'web-llm': 'WebLLM',
  remote: 'A server',
} as const

export const deviceChoices = {
  auto: 'Automatic',
  webgpu: 'WebGPU',
  wasm: 'WebAssembly',
} satisfies Record<OnnxDevice, string>

export const dtypeChoices = {
  '': 'Automatic',
  q4f16: 'q4f16',
  q4: 'q4',
  fp16: 'fp16',
  q8: 'q8',
  fp32: 'fp32',
} satisfies Record<'' | OnnxDtype, string>

/** A model that this page knows by a short name, for each of the runtimes that can take it. */
export const smolLm2 = {
  name: 'smollm2-135m-instruct',
  onnx: 'HuggingFaceTB/SmolLM2-135M-Instruct',
  gguf: 'bartowski/SmolLM2-135M-Instruct-GGUF/SmolLM2-135M-Instruct-Q4_K_M.gguf',
  /** `npm start` serves it here, once it has come. */
  served: 'models/smollm2/smollm2-135m-instruct.gguf',
} as const

/** What the settings offer by name. */
export const modelPresets = { 'Stories, built in': '', 'SmolLM2 135M': smolLm2.name } as const

export function readModelChoice(): ModelChoice {
  const parameters = new URLSearchParams(location.search)
  const read = (name: keyof typeof defaultChoice) => parameters.get(name) || defaultChoice[name]
  return {
    model: read('model'),
    backend: read('backend'),
    server: read('server'),
    device: read('device'),
    dtype: read('dtype'),
  }
}

/** Puts the choice into the page's address, so that it can be shared and survives a reload. */
export function writeModelChoice(choice: ModelChoice): void {
  const url = new URL(location.href)
  for (const name of Object.keys(defaultChoice) as (keyof typeof defaultChoice)[]) {
    if (choice.files || choice[name] === defaultChoice[name]) url.searchParams.delete(name)
    else url.searchParams.set(name, choice[name])
  }
  history.replaceState(null, '', url)
}

/** Whether it can only be llama.cpp that runs it. */
export function takesGguf({ backend, model }: Pick<ModelChoice, 'backend' | 'model'>): boolean {
  return backend === 'llama-cpp' || (backend === 'auto' && /\.gguf$/i.test(model))
}

/**
 * The backends to try in order, each with its model. Left to itself, SmolLM2 runs on ONNX Runtime where there is a GPU, and
 * on llama.cpp elsewhere: which of them is the library's choice.
 * @throws RivuletError `invalid-option`: the library, not this page, knows which values there are
 */
export async function createBackends(
  choice: ModelChoice,
  settings: LoadSettings = {},
): Promise<readonly BackendFactory[]> {
  const { backend, model, server, files } = choice
  if (files) return [await createForFiles(choice, files, settings)]
  if (backend === 'remote') return [(await import('rivulet/remote')).remote({ baseURL: server, model })]
  if (backend === 'web-llm') return [(await import('rivulet/web-llm')).webLlm({ model, ...settings })]
  if (takesGguf(choice)) return [await createLlamaCpp(choice, settings)]
  const isEither = backend === 'auto' && model === smolLm2.name
  const onnx = await createOnnx(choice)
  return isEither ? [onnx, await createLlamaCpp(choice, settings)] : [onnx]
}

/** How a model is loaded, whichever it is. */
export interface LoadSettings {
  /** Prompt and answer together, in tokens, for backends that take it. @default the model's own */
  readonly contextLength?: number | undefined
}

async function createForFiles(
  { backend, device, dtype }: ModelChoice,
  files: OwnFiles,
  settings: LoadSettings,
): Promise<BackendFactory> {
  if (backend === 'llama-cpp') {
    const { llamaCpp } = await import('rivulet/llama-cpp')
    return llamaCpp({ model: files, device: device as OnnxDevice, ...settings })
  }
  const { onnx } = await import('rivulet/onnx')
  return onnx({ model: files, device: device as OnnxDevice, ...(dtype && { dtype: dtype as OnnxDtype }) })
}

async function createOnnx({ model, device, dtype }: ModelChoice): Promise<BackendFactory> {
  const { onnx } = await import('rivulet/onnx')
  return onnx({
    model: model === smolLm2.name ? smolLm2.onnx : model || servedUrl('models/stories/'),
    device: device as OnnxDevice,
    ...(dtype && { dtype: dtype as OnnxDtype }),
  })
}

async function createLlamaCpp(
  { model, device }: ModelChoice,
  settings: LoadSettings,
): Promise<BackendFactory> {
  const source = model === smolLm2.name ? await findSmolLm2() : model || servedUrl('models/stories.gguf')
  const { llamaCpp } = await import('rivulet/llama-cpp')
  return llamaCpp({ model: source, device: device as OnnxDevice, ...settings })
}

async function findSmolLm2(): Promise<ModelSource> {
  const served = servedUrl(smolLm2.served)
  return (await measureServed(served)) === undefined ? smolLm2.gguf : served
}

/** @returns the file's length; undefined where there is no such file, or nobody tells */
export async function measureServed(url: URL): Promise<number | undefined> {
  const answer = await fetch(url, { method: 'HEAD' }).catch(() => undefined)
  // What is not there may be answered with this page.
  if (!answer?.ok || answer.headers.get('content-type')?.startsWith('text/html')) return undefined
  const length = answer.headers.get('content-length')
  return length === null ? undefined : Number(length)
}

export function servedUrl(path: string): URL {
  return new URL(path, document.baseURI)
}

/** A model as people call it: `owner/name` on the hub, a file's or folder's name elsewhere, a server's own name. */
export function nameModel(model: string): string {
  if (!URL.canParse(model)) return model
  const { hostname, pathname } = new URL(model)
  const segments = pathname.split('/').filter(Boolean)
  if (hostname === 'huggingface.co') return segments.slice(0, 2).join('/')
  return decodeURIComponent(segments.at(-1) ?? hostname).replace(/\.gguf$/i, '')
}
