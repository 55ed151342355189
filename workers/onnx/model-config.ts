import { RivuletError } from '../../lib/contract/errors.js'
import type { OnnxLoadOptions } from '../../lib/contract/onnx-options.js'
import type { ModelFolder } from '../store/model-folder.js'
import { plainFamily, type AnswerFamily } from '../text/channels/answer-family.js'
import { findFamily } from '../text/channels/find-family.js'
import { readTemplateShape } from '../text/channels/template-shape.js'
import type { ChatTemplate } from '../text/chat-template.js'
import {
  findChatTemplate,
  isTemplate,
  readTemplates,
  readTemplateTokens,
  type NamedTemplates,
} from '../text/find-chat-template.js'
import { createTokenizer, type Tokenizer } from '../text/tokenizer.js'
import { readContextLength } from './context-length.js'
import { readEndIds } from './end-ids.js'
import type { Sampling } from './sampler.js'

/** The sizes of the KV cache in `config.json`. A size that the file does not contain is undefined. */
export interface CacheSizes {
  /** The number of heads: `num_key_value_heads`, or `num_attention_heads` if the first is missing or invalid. */
  readonly heads: number | undefined
  /** The size of one head: `head_dim`, or `hidden_size / num_attention_heads` if the first is missing or invalid. */
  readonly headSize: number | undefined
}

/** The properties of a model, all read from its files. */
export interface ModelConfig {
  /** Maximum length of prompt and answer together, in tokens. */
  readonly contextLength: number
  readonly cacheSizes: CacheSizes
  /** The ids of the tokens that end an answer. */
  readonly endIds: ReadonlySet<number>
  /** Defaults for the sampling options that a request leaves out. */
  readonly sampling: Sampling
  /** Default for `maxTokens`: `max_new_tokens` in `generation_config.json`. */
  readonly maxTokens: number | undefined
  readonly tokenizer: Tokenizer
  /** Undefined for a model without a chat template. */
  readonly chatTemplate: ChatTemplate | undefined
  /** How the model writes reasoning and tool calls. */
  readonly family: AnswerFamily
}

type ConfigOptions = Pick<OnnxLoadOptions, 'contextLength' | 'endTokens' | 'chatTemplate'>

/** The properties of a model while its files are read. */
export interface ConfigReading {
  /** Needs only `config.json`, so that the weights need not wait for the tokenizer. */
  readonly cacheSizes: Promise<CacheSizes>
  readonly config: Promise<ModelConfig>
}

/** Starts to read the files of `readModelConfig`. Both promises reject as it does. */
export function startReadingConfig(folder: ModelFolder, options: ConfigOptions = {}): ConfigReading {
  const file = readRequired(folder, 'config.json')
  const cacheSizes = file.then((config) => readCacheSizes(listConfigs(config)[0]!))
  // Nobody waits for it if the graph is refused before.
  cacheSizes.catch(() => {})
  return { cacheSizes, config: readConfig(folder, file, options) }
}

/**
 * Reads `config.json` and `tokenizer.json`, which are required, and `generation_config.json`, `tokenizer_config.json` and
 * the files of the chat template, which are optional.
 * @throws RivuletError `model-not-found`, `model-invalid`, `download-failed`; `invalid-option` for an option that does not
 *   fit the model
 */
export async function readModelConfig(folder: ModelFolder, options?: ConfigOptions): Promise<ModelConfig> {
  return startReadingConfig(folder, options).config
}

/** A multimodal model has the values of its language model in `text_config`. */
function listConfigs(config: Readonly<Record<string, unknown>>): readonly Record<string, unknown>[] {
  return isObject(config.text_config) ? [config.text_config, config] : [config]
}

async function readConfig(
  folder: ModelFolder,
  configFile: Promise<Record<string, unknown>>,
  options: ConfigOptions,
): Promise<ModelConfig> {
  const reading = [
    configFile,
    readRequired(folder, 'tokenizer.json'),
    folder.readJson('generation_config.json'),
    folder.readJson('tokenizer_config.json'),
  ] as const
  // Waits for all files, so that the error always names the first missing file, whichever response arrives first.
  await Promise.allSettled(reading)
  const [config, tokenizerJson, generationConfig = {}, tokenizerConfig = {}] = await Promise.all(reading)
  const { contextLength, endTokens = [] } = options
  const isGiven = options.chatTemplate !== undefined && isTemplate(options.chatTemplate)
  const templates = isGiven ? new Map<string, string>() : await readChatTemplates(folder, tokenizerConfig)
  const chatTemplate = findChatTemplate(templates, options.chatTemplate, readTemplateTokens(tokenizerConfig))
  const configs = listConfigs(config)
  const tokenizer = createTokenizer(tokenizerJson, tokenizerConfig, { chatTemplate, endTokens })
  return {
    contextLength: readContextLength(configs, tokenizerConfig, contextLength),
    cacheSizes: readCacheSizes(configs[0]!),
    endIds: readEndIds(tokenizer, { generationConfig, tokenizerConfig, configs, endTokens }),
    sampling: readSampling(generationConfig),
    maxTokens: readNumber(generationConfig.max_new_tokens, isAtLeast(1)),
    tokenizer,
    chatTemplate,
    family: chatTemplate ? readFamily(chatTemplate, tokenizer) : plainFamily,
  }
}

function readFamily(chatTemplate: ChatTemplate, tokenizer: Tokenizer): AnswerFamily {
  return findFamily({
    template: chatTemplate.source,
    hasToken: (text) => tokenizer.findId(text) !== undefined,
    hasTools: readTemplateShape(chatTemplate).hasTools,
  })
}

/**
 * Reads the chat templates: from `tokenizer_config.json`, else from a file of their own. The files are requested only if
 * they are needed, because most folders lack them.
 */
async function readChatTemplates(
  folder: ModelFolder,
  { chat_template: field }: Readonly<Record<string, unknown>>,
): Promise<NamedTemplates> {
  const templates = readTemplates(field)
  if (templates.size > 0) return templates
  const jinja = await folder.readText('chat_template.jinja')
  if (jinja !== undefined) return readTemplates(jinja)
  return readTemplates((await folder.readJson('chat_template.json'))?.chat_template)
}

async function readRequired(folder: ModelFolder, path: string): Promise<Record<string, unknown>> {
  const json = await folder.readJson(path)
  if (json) return json
  throw new RivuletError(
    'model-not-found',
    `${folder.url} has no ${path}. "model" must be the URL of a folder with the layout of Hugging Face ONNX models.`,
  )
}

function readCacheSizes(config: Record<string, unknown>): CacheSizes {
  const read = (name: string) => readNumber(config[name], isSize)
  const queryHeads = read('num_attention_heads')
  const hiddenSize = read('hidden_size')
  const computedSize = hiddenSize && queryHeads ? hiddenSize / queryHeads : 0
  return {
    heads: read('num_key_value_heads') ?? queryHeads,
    headSize: read('head_dim') ?? (isSize(computedSize) ? computedSize : undefined),
  }
}

/** Reads the sampling defaults of `generation_config.json` (field names of transformers). Ignores values out of range. */
function readSampling(config: Record<string, unknown>): Sampling {
  const temperature = readNumber(config.temperature, isAtLeast(0)) ?? 1
  return {
    temperature: config.do_sample === true ? temperature : 0,
    topK: readNumber(config.top_k, isAtLeast(0)) ?? 0,
    topP: readNumber(config.top_p, (value) => value > 0 && value <= 1) ?? 1,
    minP: readNumber(config.min_p, (value) => value >= 0 && value <= 1) ?? 0,
    repetitionPenalty: readNumber(config.repetition_penalty, (value) => value > 0) ?? 1,
  }
}

function readNumber(value: unknown, isValid: (value: number) => boolean): number | undefined {
  return typeof value === 'number' && isValid(value) ? value : undefined
}

function isAtLeast(minimum: number): (value: number) => boolean {
  return (value) => value >= minimum
}

function isSize(value: number): boolean {
  return Number.isSafeInteger(value) && value > 0
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}
