import { refuse } from '../../lib/contract/check-options.js'
import { RivuletError } from '../../lib/contract/errors.js'
import type { GenerateRequest } from '../../lib/contract/request.js'
import type { RemoteLoadOptions } from '../../lib/contract/remote-options.js'
import type { AnswerEnd, GenerationStep, ModelSupport } from '../../lib/contract/worker-api.js'
import type { Backend, GenerateContext } from '../backend.js'
import { countGenerated, isComplete, joinAnswer } from '../openai-body.js'
import { describeFormat } from '../text/grammar/describe-format.js'
import { askDialect } from './ask-server.js'
import { checkDemands } from './check-demands.js'
import { describeRequest, type BodyRules } from './describe-request.js'
import { readModelList, type ListedModel } from './model-list.js'
import { readAnswer, readChatChunks } from './read-answer.js'
import { describeSupport, findServerKind, getDialect } from './server-kinds.js'
import { createSseTransport, type Transport } from './transport.js'

/** What every server supports: OpenAI's fields. The app must say whether its server can continue an answer. */
const support = {
  inputs: ['chat', 'text'],
  seededContinuation: false,
  // OpenAI's API cannot count tokens without generating.
  tokenCounting: false,
  prefill: false,
  keptPrefixes: false,
  // The server has its own queue.
  concurrency: 8,
} as const satisfies Partial<ModelSupport>

/** A server, and what is known about it. */
interface Server {
  readonly transport: Transport
  readonly listed: ListedModel
  readonly rules: BodyRules
  readonly allowMissingFinishReason: boolean
}

/** Runs models on any server with OpenAI's API, over server-sent events. */
export function createRemoteBackend(): Backend<RemoteLoadOptions> {
  let server: Server | undefined
  return {
    stepsInFlight: 0,

    async load({ options }, { signal }) {
      const { model, canContinue, supports, extraBody, allowMissingFinishReason, ...access } = options
      const transport = createSseTransport(access)
      const { host, hostname } = new URL(access.baseUrl)
      const listing = access.skipModelList ? undefined : await transport.get('models', signal)
      const listed = readModelList(listing, model)
      const kind = access.server ?? findServerKind(hostname, listed.ownedBy)
      const learned = { refusesStreamOptions: false, wantsMaxCompletionTokens: false }
      const dialect = access.skipModelList ? getDialect(kind) : await askDialect(kind, transport, signal)
      const rules = { model, dialect, extraBody, learned }
      server = { transport, listed, rules, allowMissingFinishReason }
      return {
        model,
        backend: 'remote',
        device: 'server',
        deviceDescription: host,
        dtype: undefined,
        execution: 'sse',
        warnings: [],
        contextLength: listed.contextLength,
        supports: { ...support, ...describeSupport(dialect, supports), continuation: canContinue },
      }
    },

    generate(request, context) {
      if (!server)
        throw new RivuletError('engine-disposed', 'The server connection was closed. Create a new engine.')
      return streamAnswer(server, request, context)
    },

    unload() {
      server = undefined
      return Promise.resolve()
    },
  }
}

async function* streamAnswer(
  { transport, listed, rules, allowMissingFinishReason }: Server,
  request: GenerateRequest,
  { signal, queueMs }: GenerateContext,
): AsyncGenerator<GenerationStep, AnswerEnd, undefined> {
  if (isComplete(request)) return 'length'
  const { maxTokens } = request.options
  const context = {
    maxTokens: maxTokens === undefined ? undefined : maxTokens - countGenerated(request),
    allowMissingFinishReason,
    queueMs,
    startedAt: performance.now(),
  }
  try {
    const grammar = rules.dialect.takesGrammars ? await writeFormGrammar(request) : undefined
    const items = transport.stream(describeRequest(rules, request, grammar), signal)
    const steps = readAnswer(readChatChunks(items, transport.redact), context)
    return yield* checkDemands(request.options, steps)
  } catch (error) {
    throw addModelNames(error, listed)
  }
}

/**
 * Returns the grammar of the form of an answer, from where the answer is. Most apps need no form, so the code is loaded on
 * demand.
 * @throws RivuletError `invalid-option` if the form cannot be held, or does not fit the message to continue;
 *   `connection-failed` if a lost answer does not fit it
 */
async function writeFormGrammar(request: GenerateRequest): Promise<string | undefined> {
  const { responseFormat, tools } = request.options
  // llama.cpp's server refuses a grammar together with tools.
  if (!responseFormat || tools) return undefined
  const { createFormCompiler } = await import('../text/gbnf/compile-form.js')
  const form = describeFormat(responseFormat)
  const grammar = createFormCompiler()(form, 'responseFormat', joinAnswer(request))
  if (grammar !== undefined) return grammar
  if (!request.resume) {
    refuse(
      'The message to continue does not fit "responseFormat". Correct it, or leave "continueFinalMessage" out.',
      'continueFinalMessage',
    )
  }
  throw new RivuletError(
    'connection-failed',
    'The answer was lost, and does not fit "responseFormat". Retry.',
  )
}

/** Adds the server's models to the error for a model that the server does not have. */
function addModelNames(error: unknown, { isListed, names }: ListedModel): unknown {
  const isUnknown = error instanceof RivuletError && error.code === 'model-not-found'
  if (!isUnknown || isListed || names.length === 0) return error
  const message = `${error.message} The server lists these models: ${names.join(', ')}.`
  return new RivuletError('model-not-found', message, { cause: error })
}
