// A stand-in for @mlc-ai/web-llm 0.2.86, after its source (engine.ts, llm_chat.ts, conversation.ts): its model libraries
// cannot be had where the tests run, so no text can come out of the real one.
import type {
  ChatConfig,
  ChatRequest,
  Chunk,
  InitProgressReport,
  MlcEngine,
  Message,
  RawRequest,
  WebLlmRuntime,
} from './runtime.js'

/** What the model says, and what befalls it. */
export interface Script {
  /** The next answers' tokens: texts, or single bytes. Behind the last comes the end token. */
  answers: (readonly (string | Uint8Array)[])[]
  /** Of each answer: the step, from 0, at which the device is lost. */
  lostAt?: number
  /** Called in each step, before it ends. */
  onStep?(step: number): void | Promise<void>
  /** Called while the model is loaded. `false` ends that without a model, as a swallowed abort does. */
  onReload?(report: (report: InitProgressReport) => void, aborted: Promise<void>): Promise<void | false>
  readonly config?: Partial<ChatConfig>
}

/** What the engine was asked for, and where it stands. */
export interface Seen {
  steps: number
  readonly requests: (ChatRequest | RawRequest)[]
  /** What was tokenised for each request. */
  readonly prefilled: string[]
  /** In the KV cache, when a prompt has been computed. */
  readonly promptTokens: number[]
  readonly forgotten: string[]
  overrides: Readonly<Record<string, unknown>> | undefined
  isLocked: boolean
  isLoaded: boolean
  interrupts: number
}

const template = {
  system_template: '<|im_start|>system\n{system_message}<|im_end|>\n',
  system_message: '',
  roles: { user: '<|im_start|>user', assistant: '<|im_start|>assistant' },
  role_templates: { user: '{user_message}', assistant: '{assistant_message}' },
  seps: ['<|im_end|>\n'],
  stop_str: ['<|im_end|>'],
}

const defaultConfig: ChatConfig = { vocab_size: 1000, context_window_size: 400, conv_template: template }

export const scriptedModel = 'Story-1B-q4f16_1-MLC'

export function createScriptedRuntime(script: Script): {
  readonly runtime: WebLlmRuntime
  readonly seen: Seen
} {
  const seen: Seen = {
    steps: 0,
    requests: [],
    prefilled: [],
    promptTokens: [],
    forgotten: [],
    overrides: undefined,
    isLocked: false,
    isLoaded: false,
    interrupts: 0,
  }
  const record = { model: 'https://models.invalid/story', model_id: scriptedModel, model_lib: 'story.wasm' }
  const embedding = { ...record, model_id: 'Story-embed-q0f32-MLC', model_type: 1 }
  const runtime: WebLlmRuntime = {
    MLCEngine: function createEngine(config: ConstructorParameters<WebLlmRuntime['MLCEngine']>[0]) {
      return createScriptedEngine(script, seen, config.initProgressCallback)
    } as unknown as WebLlmRuntime['MLCEngine'],
    prebuiltAppConfig: { model_list: [record, embedding], cacheBackend: 'cache' },
    async deleteChatConfigInCache() {
      seen.forgotten.push('config')
    },
    async deleteModelInCache() {
      seen.forgotten.push('tokenizer and weights')
    },
    async deleteModelWasmInCache() {
      seen.forgotten.push('library')
    },
  }
  return { runtime, seen }
}

/** An error as web-llm makes them: told by its name alone. */
export function createNamedError(name: string, message: string, fields: object = {}): Error {
  return Object.assign(new Error(message), { name }, fields)
}

function createScriptedEngine(
  script: Script,
  seen: Seen,
  report: (report: InitProgressReport) => void,
): MlcEngine & { readonly loadedModelIdToChatConfig: ReadonlyMap<string, ChatConfig> } {
  const configs = new Map<string, ChatConfig>()
  let isInterrupted = false
  let abortReload = () => {}
  let message = ''
  let finishReason: string | undefined
  let kvTokens = 0
  let conversation: Message[] = []
  const waiting: (() => void)[] = []

  const requireModel = () => {
    if (seen.isLoaded) return configs.get(scriptedModel)!
    throw createNamedError(
      'ModelNotLoadedError',
      'Model not loaded before calling chat.completions.create().',
    )
  }

  async function acquire(): Promise<void> {
    if (seen.isLocked) await new Promise<void>((resolve) => waiting.push(resolve))
    seen.isLocked = true
  }

  function release(): void {
    const next = waiting.shift()
    if (next) next()
    else seen.isLocked = false
  }

  function prefill(request: ChatRequest | RawRequest, config: ChatConfig): number {
    const { conv_template } = config
    const messages = 'messages' in request ? request.messages : []
    const isContinued =
      finishReason === 'stop' && messages.length > 1 && isSame(conversation, messages.slice(0, -1))
    if (!isContinued) kvTokens = 0
    const prompt =
      'prompt' in request
        ? request.prompt
        : render(conv_template, isContinued ? messages.slice(-1) : messages)
    finishReason = undefined
    conversation = [...messages]
    if (kvTokens + prompt.length > config.context_window_size) {
      throw createNamedError(
        'ContextWindowSizeExceededError',
        `Prompt tokens exceed context window size: ${prompt.length}`,
      )
    }
    kvTokens += prompt.length
    seen.prefilled.push(prompt)
    seen.promptTokens.push(kvTokens)
    return prompt.length
  }

  function end(reason: string): void {
    finishReason = reason
    conversation.push({ role: 'assistant', content: message })
  }

  async function* generate(request: ChatRequest | RawRequest): AsyncGenerator<Chunk, void> {
    const config = requireModel()
    await acquire()
    let hasPrefilled = false
    try {
      isInterrupted = false
      const answer = script.answers.shift() ?? []
      const said: (string | Uint8Array)[] = []
      let completionTokens = 0
      message = ''
      const promptTokens = prefill(request, config)
      hasPrefilled = true
      for (let step = 0; finishReason === undefined; step += 1) {
        if (step > 0 && isInterrupted) {
          end('abort')
          break
        }
        if (step > 0) kvTokens += 1
        await script.onStep?.(step)
        if (step === script.lostAt) {
          seen.isLoaded = false
          throw new Error('NDArray has already been disposed')
        }
        seen.steps += 1
        completionTokens += 1
        const token = answer[step]
        said.push(token ?? '')
        message = decode(said)
        const reason = findEnd(token, [...config.conv_template.stop_str, ...(request.stop ?? [])], {
          tokens: step + 1,
          maxTokens: request.max_tokens ?? Infinity,
        })
        if (reason) end(reason)
        if (countTrailing(message) % 4 === 0) yield { choices: [{ finish_reason: null }] }
      }
      yield { choices: [{ finish_reason: finishReason ?? null }] }
      const usage = { prompt_tokens: promptTokens, completion_tokens: completionTokens }
      yield { choices: [], usage }
    } finally {
      if (hasPrefilled && finishReason === undefined) end('abort')
      release()
    }
  }

  /** Cuts `message` at a stop string, the last place where it stands. */
  function findEnd(
    token: string | Uint8Array | undefined,
    stops: readonly string[],
    { tokens, maxTokens }: { readonly tokens: number; readonly maxTokens: number },
  ): string | undefined {
    const stop = stops.find((candidate) => message.includes(candidate))
    if (stop !== undefined) message = message.slice(0, message.lastIndexOf(stop))
    if (token !== undefined && tokens >= maxTokens) return 'length'
    return stop !== undefined || token === undefined ? 'stop' : undefined
  }

  async function create(request: ChatRequest | RawRequest): Promise<AsyncIterable<Chunk>> {
    requireModel()
    const messages = 'messages' in request ? request.messages : []
    if (messages.some(({ role }, index) => role === 'system' && index > 0)) {
      throw createNamedError('SystemMessageOrderError', 'System prompt should always be the first one.')
    }
    seen.requests.push(request)
    return generate(request)
  }

  return {
    loadedModelIdToChatConfig: configs,
    async reload(modelId, overrides) {
      seen.overrides = overrides
      const aborted = new Promise<void>((resolve) => (abortReload = resolve))
      if ((await script.onReload?.(report, aborted)) === false) return
      seen.isLoaded = true
      configs.set(modelId, { ...defaultConfig, ...script.config, ...overrides })
    },
    async unload() {
      abortReload()
      seen.isLoaded = false
    },
    async interruptGenerate() {
      seen.interrupts += 1
      isInterrupted = true
    },
    async getMessage() {
      requireModel()
      return message
    },
    chat: { completions: { create } },
    completions: { create },
  }
}

/** With `String.replace`, as web-llm does it: dollars in a content are read as patterns. */
function render(conv: typeof template | ChatConfig['conv_template'], messages: readonly Message[]): string {
  const parts = messages.map(({ role, content }) => {
    if (role === 'system') return conv.system_template.replace('{system_message}', content)
    const text = conv.role_templates?.[role]?.replace(`{${role}_message}`, content) ?? content
    return `${conv.roles[role]}\n${text}${conv.seps[0]}`
  })
  return `${parts.join('')}${conv.roles['assistant']}\n`
}

function isSame(a: readonly Message[], b: readonly Message[]): boolean {
  return JSON.stringify(a) === JSON.stringify(b)
}

/** As tokenizers' `ByteFallback` decodes: bytes in a row are text together, or U+FFFD each. */
function decode(tokens: readonly (string | Uint8Array)[]): string {
  let text = ''
  let bytes: number[] = []
  const flush = () => {
    try {
      text += new TextDecoder('utf-8', { fatal: true }).decode(new Uint8Array(bytes))
    } catch {
      text += '\uFFFD'.repeat(bytes.length)
    }
    bytes = []
  }
  for (const token of tokens) {
    if (typeof token === 'string') flush()
    if (typeof token === 'string') text += token
    else bytes.push(...token)
  }
  flush()
  return text
}

function countTrailing(text: string): number {
  return /\uFFFD*$/.exec(text)![0].length
}
