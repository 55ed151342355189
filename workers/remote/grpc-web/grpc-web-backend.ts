import { refuse } from '../../../lib/contract/check-options.js'
import { RivuletError } from '../../../lib/contract/errors.js'
import type { GrpcWebLoadOptions } from '../../../lib/contract/grpc-web-options.js'
import type { OptionName } from '../../../lib/contract/option-table.js'
import type { RemoteLoadOptions } from '../../../lib/contract/remote-options.js'
import type { LoadRequest, ModelSupport } from '../../../lib/contract/worker-api.js'
import type { Backend } from '../../backend.js'
import { countPrompt, encodeRequest } from '../../onnx/encode-request.js'
import { readModelConfig, type ModelConfig } from '../../onnx/model-config.js'
import { openModelFolder } from '../../store/model-folder.js'
import { describeChannels } from '../../text/channels/describe-channels.js'
import { trackLoad } from '../../track-load.js'
import { createServerConnection } from '../server-connection.js'
import { createEngineClient, type EngineClient } from './engine-client.js'
import { streamTokens } from './stream-tokens.js'
import type { GetModelInfoResponse } from './vllm_engine_pb.js'

/** The options of `remote()` with this transport. */
type LoadOptions = RemoteLoadOptions & { readonly transport: GrpcWebLoadOptions }

/** The options that the service has, or that need only the tokenizer. */
const options: readonly OptionName[] = [
  'maxTokens',
  'temperature',
  'topK',
  'topP',
  'minP',
  'repetitionPenalty',
  'frequencyPenalty',
  'presencePenalty',
  'logitBias',
  'seed',
  'topLogprobs',
  'stop',
  'templateVariables',
  'responseFormat',
  'tools',
  'toolChoice',
  'reasoning',
]

/** What `load` leaves for `generate`. */
export interface GrpcWebServer {
  readonly client: EngineClient
  readonly transport: GrpcWebLoadOptions
  /** The model as its tokenizer's folder and the server describe it. */
  readonly config: ModelConfig
}

/** Runs the model of vLLM's gRPC server, with its tokenizer in this worker. */
export function createGrpcWebBackend(): Backend<LoadOptions> {
  let server: GrpcWebServer | undefined

  function takeServer(): GrpcWebServer {
    if (server) return server
    throw new RivuletError('engine-disposed', 'The server connection was closed. Create a new engine.')
  }

  return {
    stepsInFlight: 0,

    async load(request, { onProgress, signal }) {
      const { baseUrl, model, skipModelList, transport } = request.options
      const client = createEngineClient(baseUrl, createServerConnection(request.options))
      const [folder, served] = await Promise.all([
        readTokenizer(request, onProgress, signal),
        skipModelList ? undefined : client.getModelInfo(signal),
      ])
      const config = served ? combine(folder, served, model) : folder
      server = { client, transport, config }
      return {
        model,
        backend: 'remote',
        device: 'server',
        deviceDescription: new URL(baseUrl).host,
        dtype: undefined,
        execution: 'grpc-web',
        warnings: [],
        contextLength: config.contextLength,
        supports: describeSupport(config),
      }
    },

    generate: (request, context) => streamTokens(takeServer(), request, context),

    tokenCounter: {
      needsTurn: false,
      count: async (request, signal) =>
        countPrompt(await encodeRequest(takeServer().config, request, signal)),
    },

    unload() {
      server = undefined
      return Promise.resolve()
    },
  }
}

/** Reads the small files of the tokenizer's folder. */
async function readTokenizer(
  { model, download, options: { transport } }: LoadRequest<LoadOptions>,
  onProgress: Parameters<typeof trackLoad>[0],
  signal: AbortSignal,
): Promise<ModelConfig> {
  // The factory always passes one.
  if (model.kind === 'none') refuse('grpcWeb({ tokenizer }) is missing.', 'tokenizer')
  // No weights follow, and nothing has to be loaded.
  const tracker = trackLoad(onProgress, '', () => ({ loadMs: 0, warmUpMs: 0 }))
  const folder = await openModelFolder(model, download, { signal, onProgress: tracker.files })
  try {
    const config = await readModelConfig(folder, { chatTemplate: transport.chatTemplate })
    tracker.finish()
    return config
  } catch (error) {
    const isMissing = error instanceof RivuletError && error.code === 'model-not-found'
    throw isMissing ? await folder.explainMissing(error) : error
  } finally {
    folder.close()
    tracker.stop()
  }
}

/**
 * Combines what the tokenizer's folder and the server say about the model.
 * @throws RivuletError `model-not-found` for another model; `invalid-option` for the tokenizer of another model
 */
function combine(folder: ModelConfig, served: GetModelInfoResponse, model: string): ModelConfig {
  const names = [...new Set([served.servedModelName, served.modelPath])].filter((name) => name !== '')
  if (names.length > 0 && !names.includes(model)) {
    throw new RivuletError(
      'model-not-found',
      `The server does not have the model "${model}". It has ${names.map((name) => `"${name}"`).join(', also known as ')}.`,
    )
  }
  const { eosTokenIds, maxContextLength } = served
  if (folder.endIds.size > 0 && eosTokenIds.length > 0 && !eosTokenIds.some((id) => folder.endIds.has(id))) {
    refuse(
      `grpcWeb({ tokenizer }) is not the tokenizer of "${model}": other tokens end an answer. Pass the folder of the server's model.`,
      'tokenizer',
    )
  }
  return {
    ...folder,
    endIds: new Set([...folder.endIds, ...eosTokenIds]),
    contextLength: maxContextLength || folder.contextLength,
  }
}

function describeSupport({ chatTemplate, family }: ModelConfig): ModelSupport {
  const channels = describeChannels(chatTemplate, family, options)
  const canHold = family.kind !== 'harmony'
  return {
    ...channels,
    hints: {
      parallelToolCalls: "vLLM's gRPC service holds no form of tool calls.",
      responseFormat:
        "The model writes its answer after other channels, which vLLM's gRPC service cannot hold.",
      ...channels.hints,
    },
    options: canHold ? channels.options : channels.options.filter((name) => name !== 'responseFormat'),
    inputs: chatTemplate === undefined ? ['text'] : ['chat', 'text'],
    formats: canHold ? ['json', 'json-schema', 'regex', 'grammar'] : [],
    continuation: true,
    seededContinuation: false,
    tokenCounting: true,
    prefill: false,
    keptPrefixes: false,
    // The server has its own queue.
    concurrency: 8,
  }
}
