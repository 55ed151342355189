// What every backend promises, and the exceptions. contract.spec.ts tests it; docs/guarantees.md has it as a table.
import { listOptions, optionNames, type BackendName, type OptionName } from '../lib/contract/option-table.js'
import type { ModelInfo } from 'rivulet'

export const promises = {
  text: 'The chunks joined are `result.text` and what `text()` returns',
  backpressure: 'An unread stream pauses the model',
  cancel:
    'Cancelling before the start, in the queue, during prefill or mid-stream works, and the next request runs',
  order: 'Requests keep their order and never mix',
  errors: 'A refused request ends with a typed error and affects no other request',
  usage: 'Tokens are counted, and the finish reason is reported',
  counts: 'Tokens of a prompt are counted before any work, as an answer reports them',
  prefills: 'A prompt that is computed ahead starts with its first token',
  latency: 'Latency is measured at the reader, and by the model’s own clock where it has one',
  stop: 'The text ends before a stop string',
  seed: 'The same seed gives the same text, another seed another text',
  options: 'Every option takes effect or is refused by name',
  structured:
    'A form of the answer holds, and its value is parsed; a form that cannot be held is refused by name',
  tools:
    'A call that the request demands has valid arguments and ends the answer; or tools are refused by name',
  reasoning: 'The reasoning is a channel of its own; what cannot be demanded of it is refused by name',
  control: 'Control tokens in user text stay text',
  recovery: 'Continues after its last token when its worker dies',
  takeOver: 'Continues an answer that another backend started',
  continues: 'Continues an answer that is passed back with `continueFinalMessage`',
} as const
export type PromiseName = keyof typeof promises

type BackendKind = 'onnx wasm' | 'onnx webgpu' | 'llamaCpp' | 'webLlm' | 'remote' | 'promptApi'
export type TransportKind = 'responses' | 'responses socket' | 'grpcWeb'

export interface Subject {
  readonly name: string
  readonly kind: BackendKind | TransportKind
  /** @default 'tab' */
  readonly host?: 'tab' | 'shared'
  readonly info: Partial<ModelInfo> & { readonly backend: BackendName }
  /** Promises that the runtime cannot keep or that the server is responsible for, with the reason. */
  readonly exceptions: Partial<Record<PromiseName, string>>
  /** What a tested promise means for this backend. */
  readonly remarks: Partial<Record<PromiseName, string>>
  /** Promises that are tested only in `npm run soak`: slow here, and tested in CI with other backends. */
  readonly onlyInSoak: readonly PromiseName[]
  /** The options that are supported, if they are not those of the backend. */
  readonly options?: readonly OptionName[]
  /** Options that the backend supports, and refuses where something is missing, as in the test. */
  readonly alsoRefuses: { readonly where: string; readonly options: readonly OptionName[] }
  /** Options that the test's server accepts and ignores, which the client cannot detect. */
  readonly ignored: readonly string[]
  /** Requests run one at a time. */
  readonly isQueued: boolean
  /** The option `maxConcurrentGenerations`. @default 1 */
  readonly concurrency?: number
  readonly reportsTokenIds: boolean
  readonly reportsModelTimes: boolean
  readonly canContinue: boolean
  readonly canCount: boolean
  readonly canPrefill: boolean
}

const toolOptions = ['tools', 'toolChoice', 'parallelToolCalls'] as const satisfies readonly OptionName[]
/** The embedded model's template has no tools. */
const withoutTools = { where: 'with a chat template without tools', options: toolOptions }

const local = {
  exceptions: {},
  remarks: { tools: 'if the chat template has them' },
  onlyInSoak: [],
  alsoRefuses: withoutTools,
  ignored: [],
  isQueued: true,
  reportsTokenIds: true,
  reportsModelTimes: false,
  canContinue: true,
  canCount: true,
  canPrefill: true,
}
const onnxInfo = { backend: 'onnx', dtype: 'q8', contextLength: 512 } as const
export const subjects: readonly Subject[] = [
  {
    ...local,
    name: '`onnx()`, WASM',
    kind: 'onnx wasm',
    info: { ...onnxInfo, device: 'wasm', execution: 'growing-cache' },
  },
  {
    ...local,
    name: '`onnx()`, WebGPU',
    kind: 'onnx webgpu',
    info: { ...onnxInfo, device: 'webgpu', execution: 'replayed' },
    // `recovery` and `takeOver` load another engine, which takes a software adapter ten seconds or more; recovery.spec.ts
    // loses a GPU in CI. So do `tools` and `reasoning`, with another chat template. The order is kept by the worker's queue,
    // and tokens are counted and channels are split in the worker: nothing of this depends on the device.
    onlyInSoak: ['order', 'counts', 'prefills', 'recovery', 'takeOver', 'tools', 'reasoning'],
  },
  {
    ...local,
    name: '`llamaCpp()`',
    kind: 'llamaCpp',
    info: { backend: 'llama-cpp', device: 'wasm' },
    reportsTokenIds: false,
    reportsModelTimes: true,
  },
  {
    ...local,
    name: '`webLlm()`, scripted pipeline',
    kind: 'webLlm',
    info: { backend: 'web-llm', device: 'webgpu' },
    reportsTokenIds: false,
    reportsModelTimes: true,
    canContinue: false,
    canCount: false,
    canPrefill: false,
    alsoRefuses: { where: '', options: [] },
    remarks: {
      tools: 'refuses them',
      reasoning: 'takes `off` only, where web-llm can turn it off',
    },
    exceptions: {
      control: 'refuses messages with tokens that mark turns; other control tokens are not kept as text',
      takeOver: 'not supported: web-llm cannot continue an existing text',
      recovery: 'the stream ends with `device-lost` and its text; the next request gets a new worker',
    },
  },
  {
    name: '`remote()`',
    kind: 'remote',
    info: { backend: 'remote', device: 'server' },
    onlyInSoak: [],
    reportsTokenIds: false,
    reportsModelTimes: true,
    isQueued: false,
    canContinue: false,
    canCount: false,
    canPrefill: false,
    alsoRefuses: {
      where: 'for a server of unknown kind',
      options: ['responseFormat', ...toolOptions, 'reasoning'],
    },
    ignored: ['logitBias', 'templateVariables'],
    remarks: {
      structured: 'with a server that holds it, tested with llama.cpp’s',
      tools: 'with a server that has them, tested with a stand-in',
      reasoning: 'with a server that shows it, tested with llama.cpp’s',
    },
    exceptions: {
      backpressure: '✓ by the socket: the server keeps writing until the buffers are full',
      control: 'the server’s responsibility',
      takeOver: '✓ with `canContinue`, if the server supports it: vLLM, llama.cpp’s server',
      recovery: 'with `canContinue`, as below; otherwise the stream ends with a typed error and its text',
    },
  },
  {
    ...local,
    name: '`promptApi()`',
    kind: 'promptApi',
    info: { backend: 'prompt-api', device: 'browser', execution: 'prompt-api' },
    reportsTokenIds: false,
    canPrefill: false,
    alsoRefuses: { where: '', options: [] },
    remarks: { usage: 'a chunk of the browser counts as one token', tools: 'refuses them' },
    exceptions: {
      seed: 'refuses it: the API has no seed',
      reasoning: 'refuses it: the API does not show the reasoning',
      control: 'the browser’s responsibility',
    },
  },
]

/** The same backend in a worker that tabs share. It keeps the same promises, so it has no column of its own. */
export const sharedSubject: Subject = {
  ...subjects[0]!,
  name: '`onnx()`, WASM, shared by tabs',
  host: 'shared',
  info: { ...onnxInfo, device: 'wasm', host: 'shared' },
  // What crosses to the worker is the same: CI checks the ways of a stream.
  onlyInSoak: (Object.keys(promises) as PromiseName[]).filter(
    (name) => !['cancel', 'recovery'].includes(name),
  ),
}

const concurrent = {
  isQueued: false,
  concurrency: 4,
  // The promises are those of the backends above; `npm run soak` tests that several generations at a time keep them.
  onlyInSoak: Object.keys(promises) as PromiseName[],
}

/** Backends that run several generations at the same time. */
export const concurrentSubjects: readonly Subject[] = subjects.flatMap((subject) =>
  ['onnx wasm', 'onnx webgpu', 'llamaCpp'].includes(subject.kind)
    ? [{ ...subject, ...concurrent, name: `${subject.name}, four at a time` }]
    : [],
)

/**
 * The model of these tests' server has no tools and no thoughts. Forms are refused for its Responses API, and behind the test's
 * gRPC service the small model fills a form with spaces.
 */
const testedInNode = {
  structured: 'tested in Node, with a server written for the test',
  tools: 'tested in Node, with a server written for the test',
  reasoning: 'tested in Node, with a server written for the test',
} as const
const responses = {
  info: { backend: 'remote', device: 'server' },
  onlyInSoak: ['order'],
  reportsTokenIds: false,
  // llama.cpp's server adds them to the last event.
  reportsModelTimes: true,
  canContinue: false,
  canCount: false,
  canPrefill: false,
  options: [
    'maxTokens',
    'temperature',
    'topP',
    'responseFormat',
    'tools',
    'toolChoice',
    'parallelToolCalls',
    'reasoning',
  ],
  alsoRefuses: { where: 'for llama.cpp’s server, which ignores it,', options: ['responseFormat'] },
  remarks: {},
} as const
const responsesExceptions = {
  stop: 'refuses it: the API has no stop strings',
  seed: 'refuses it: the API has no seed',
  control: 'the server’s responsibility',
  takeOver: 'not supported: the API cannot continue an answer',
  recovery: 'the stream ends with a typed error and its text',
  ...testedInNode,
} as const

/** The transports of `remote()` other than `sse()`, which is the transport of `remote()` above. A real llama.cpp answers. */
export const transports: readonly (Subject & { readonly kind: TransportKind })[] = [
  {
    ...responses,
    name: '`responses()`',
    kind: 'responses',
    info: { ...responses.info, execution: 'responses-sse' },
    isQueued: false,
    ignored: [],
    exceptions: {
      ...responsesExceptions,
      backpressure: '✓ by the socket: the server keeps writing until the buffers are full',
    },
  },
  {
    ...responses,
    name: '`responses({ webSocket })`',
    kind: 'responses socket',
    info: { ...responses.info, execution: 'responses-websocket' },
    isQueued: true,
    ignored: [],
    exceptions: {
      ...responsesExceptions,
      backpressure:
        'a WebSocket cannot be read slowly: up to `maxUnreadLength` characters wait in the worker',
    },
  },
  {
    remarks: {},
    name: '`grpcWeb()`',
    kind: 'grpcWeb',
    info: { backend: 'remote', device: 'server', execution: 'grpc-web', contextLength: 512 },
    onlyInSoak: ['order'],
    canCount: true,
    canPrefill: false,
    reportsTokenIds: true,
    reportsModelTimes: false,
    isQueued: false,
    canContinue: true,
    options: optionNames.filter((name) => name !== 'parallelToolCalls'),
    alsoRefuses: { where: withoutTools.where, options: ['tools', 'toolChoice'] },
    ignored: [],
    exceptions: {
      ...testedInNode,
      backpressure: '✓ by the socket: the server keeps writing until the buffers are full',
    },
  },
]

/** A table of docs/guarantees.md: a row for each promise, a column for each backend or transport. */
export function tabulatePromises(columns: readonly Subject[]): string[][] {
  const names = Object.keys(promises) as PromiseName[]
  const describeRow = (name: PromiseName) =>
    columns.map((subject) => subject.exceptions[name] ?? describeOutcome(subject, name))
  const rows = names.map((name) => [promises[name] as string].concat(describeRow(name)))
  return [['promise', ...columns.map(({ name }) => name)], ...rows]
}

/** What the test of a promise asserts about a backend. */
function describeOutcome(subject: Subject, name: PromiseName): string {
  if (name === 'options') return describeOptions(subject)
  const isRefused =
    (name === 'continues' && !subject.canContinue) ||
    (name === 'counts' && !subject.canCount) ||
    (name === 'prefills' && !subject.canPrefill)
  if (isRefused) return '✓ refuses it with a typed error'
  const remark = subject.remarks[name]
  return remark === undefined ? '✓' : `✓ ${remark}`
}

/** The options that the backend refuses. */
export function listRefused({
  info: { backend },
  options = listOptions(backend),
  alsoRefuses,
}: Subject): readonly OptionName[] {
  return optionNames.filter((name) => !options.includes(name) || alsoRefuses.options.includes(name))
}

function describeOptions({
  info: { backend },
  options: supported = listOptions(backend),
  ignored,
  alsoRefuses,
}: Subject): string {
  const refused = optionNames.filter((name) => !supported.includes(name))
  const code = (names: readonly string[]) => names.map((name) => `\`${name}\``).join(', ')
  const always = refused.length > 0 ? `✓ refuses ${code(refused)}` : '✓'
  const { where, options } = alsoRefuses
  const first = options.length > 0 ? `${always}; ${where} also refuses ${code(options)}` : always
  return ignored.length > 0 ? `${first}; the test’s server ignores ${code(ignored)}` : first
}
