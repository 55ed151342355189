import type { BackendFactory, ModelSource } from 'rivulet'
import type { OnnxDevice, OnnxDtype } from 'rivulet/onnx'

/** The model to load, and what to run it on. */
export interface ModelChoice {
  /** Empty for the built-in model. With `files`, the name to show. */
  readonly model: string
  readonly backend: string
  /** Base URL of the server's API, for the backend `remote`. */
  readonly server: string
  readonly device: string
  /** Empty for the library's default. */
  readonly dtype: string
  /** The user's local files. A URL cannot name them, so the page's URL then describes the default model. */
  readonly files?: LocalFiles | undefined
}

export type LocalFiles = Exclude<ModelSource, string | URL>

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
  'prompt-api': 'The browser’s model',
  remote: 'Server',
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
  int8: 'int8',
  uint8: 'uint8',
  bnb4: 'bnb4',
  q2f16: 'q2f16',
  q2: 'q2',
  q1f16: 'q1f16',
  q1: 'q1',
} satisfies Record<'' | OnnxDtype, string>

/** A model that this page knows by a short name, with its source for each backend that supports it. */
export const smolLm2 = {
  name: 'smollm2-135m-instruct',
  onnx: 'HuggingFaceTB/SmolLM2-135M-Instruct',
  gguf: 'bartowski/SmolLM2-135M-Instruct-GGUF/SmolLM2-135M-Instruct-Q4_K_M.gguf',
  /** `npm start` serves the model here after downloading it. */
  served: 'models/smollm2/smollm2-135m-instruct.gguf',
} as const

/** The presets in the settings: label and model. */
export const modelPresets = { 'Stories (built-in)': '', 'SmolLM2 135M': smolLm2.name } as const

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

/** Writes the choice to the page's URL, so that it can be shared and survives a reload. */
export function writeModelChoice(choice: ModelChoice): void {
  const url = new URL(location.href)
  for (const name of Object.keys(defaultChoice) as (keyof typeof defaultChoice)[]) {
    if (choice.files || choice[name] === defaultChoice[name]) url.searchParams.delete(name)
    else url.searchParams.set(name, choice[name])
  }
  history.replaceState(null, '', url)
}

/** Whether only llama.cpp can run the model. */
export function takesGguf({ backend, model }: Pick<ModelChoice, 'backend' | 'model'>): boolean {
  return backend === 'llama-cpp' || (backend === 'auto' && /\.gguf$/i.test(model))
}

/**
 * Returns the backends to try in order, each with its model. With the backend `auto`, SmolLM2 gets ONNX Runtime and llama.cpp;
 * the library takes ONNX Runtime if there is a GPU, and llama.cpp otherwise.
 * @throws RivuletError `invalid-option`: the library validates the values, not this page
 */
export async function createBackends(
  choice: ModelChoice,
  settings: LoadSettings = {},
): Promise<readonly BackendFactory[]> {
  const { backend, model, server, files } = choice
  if (files) return [await createForFiles(choice, files, settings)]
  if (backend === 'remote') return [(await import('rivulet/remote')).remote({ baseURL: server, model })]
  if (backend === 'prompt-api') {
    return [(await import('rivulet/prompt-api-backend')).promptApi({ allowDownload: true })]
  }
  if (backend === 'web-llm') return [(await import('rivulet/web-llm')).webLlm({ model, ...settings })]
  if (takesGguf(choice)) return [await createLlamaCpp(choice, settings)]
  const isEither = backend === 'auto' && model === smolLm2.name
  const source = model === smolLm2.name ? smolLm2.onnx : model || servedUrl('models/stories/')
  const onnx = await createOnnx(source, choice.device, choice.dtype)
  return isEither ? [onnx, await createLlamaCpp(choice, settings)] : [onnx]
}

/** Load settings that apply to every model. */
export interface LoadSettings {
  /** Prompt and answer together, in tokens, on backends that support it. @default the model's context length */
  readonly contextLength?: number | undefined
}

async function createForFiles(
  { backend, device, dtype }: ModelChoice,
  files: LocalFiles,
  settings: LoadSettings,
): Promise<BackendFactory> {
  if (backend === 'llama-cpp') {
    const { llamaCpp } = await import('rivulet/llama-cpp')
    return llamaCpp({ model: files, device: device as OnnxDevice, ...settings })
  }
  return createOnnx(files, device, dtype)
}

async function createOnnx(model: ModelSource, device: string, dtype: string): Promise<BackendFactory> {
  const [{ onnx }, { xgrammar }] = await Promise.all([import('rivulet/onnx'), import('rivulet/xgrammar')])
  return onnx({
    model,
    device: device as OnnxDevice,
    ...(dtype && { dtype: dtype as OnnxDtype }),
    // Loaded by the worker with the first answer that has a form or tools.
    grammar: xgrammar(),
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
  return (await readServedSize(served)) === undefined ? smolLm2.gguf : served
}

/** @returns the file's size in bytes; undefined if the file does not exist or the server does not report its size */
export async function readServedSize(url: URL): Promise<number | undefined> {
  const response = await fetch(url, { method: 'HEAD' }).catch(() => undefined)
  // It is empty. Chromium reports a request whose body is not read as aborted.
  await response?.arrayBuffer()
  // Some hosts answer requests for missing files with this page.
  if (!response?.ok || response.headers.get('content-type')?.startsWith('text/html')) return undefined
  const length = response.headers.get('content-length')
  return length === null ? undefined : Number(length)
}

export function servedUrl(path: string): URL {
  return new URL(path, document.baseURI)
}

/** A model's display name: `owner/name` on the hub, the file or folder name of another URL, or the name as it is. */
export function nameModel(model: string): string {
  if (!URL.canParse(model)) return model
  const { hostname, pathname } = new URL(model)
  const segments = pathname.split('/').filter(Boolean)
  if (hostname === 'huggingface.co') return segments.slice(0, 2).join('/')
  return decodeURIComponent(segments.at(-1) ?? hostname).replace(/\.gguf$/i, '')
}
