import { checkChatTemplate, refuse, refuseUnknown } from './contract/check-options.js'
import type { GrpcWebLoadOptions } from './contract/grpc-web-options.js'
import type { ModelSource } from './locate-model.js'
import type { RemoteTransport } from './remote-transport.js'

/** Options of `grpcWeb()`. */
export interface GrpcWebOptions {
  /**
   * The folder with the tokenizer of the server's model, such as `Qwen/Qwen3-0.6B`. Only its small files are downloaded:
   * `config.json`, `tokenizer.json`, `tokenizer_config.json`, `generation_config.json` and the chat template. They are kept in
   * the model store. The service answers with token ids, so that there is no text without a tokenizer.
   */
  readonly tokenizer: ModelSource
  /**
   * The model's chat template: Jinja source, or the name of one of the templates in the folder.
   * @default the template in the folder
   */
  readonly chatTemplate?: string | undefined
  /**
   * The deadline of each answer, in milliseconds after its request. The server gets it too (`grpc-timeout`). An answer that
   * exceeds it ends with `connection-failed` and its text so far.
   * @default none
   */
  readonly timeoutMs?: number | undefined
  /**
   * True to go on with an answer whose connection breaks: the tokens so far are sent again as the end of the prompt, up to 3
   * times in a row. `result.recoveries` counts it. An answer that is sampled is then another one than without the break.
   * @default true
   */
  readonly resume?: boolean | undefined
}

/**
 * vLLM's gRPC service (`vllm.grpc.engine.VllmEngine`) as the transport of `remote()`, over gRPC-Web: vLLM behind a proxy that
 * translates it, such as Envoy. Needs `@connectrpc/connect` and `@connectrpc/connect-web` (optional peer dependencies).
 * The page makes the tokens of the prompt, and the text of the answer's tokens.
 *
 *     remote({ baseURL, model, transport: grpcWeb({ tokenizer: 'Qwen/Qwen3-0.6B' }) })
 *
 * The service has no `parallelToolCalls`, and holds a form (`responseFormat`) only where the model does not think first. The
 * arguments of tool calls are not checked against their schemas.
 * @throws RivuletError `invalid-option`
 */
export function grpcWeb(options: GrpcWebOptions): RemoteTransport {
  if (typeof options !== 'object' || options === null) refuse('grpcWeb() takes an object of options.')
  refuseUnknown('grpcWeb()', options, optionNames)
  const { tokenizer, chatTemplate, timeoutMs, resume = true } = options
  if (tokenizer === undefined) {
    refuse(
      'grpcWeb({ tokenizer }) is missing. Pass the folder of the model, such as "owner/name" on the hub: the service answers with token ids.',
      'tokenizer',
    )
  }
  checkChatTemplate('grpcWeb', chatTemplate)
  if (timeoutMs !== undefined && !(typeof timeoutMs === 'number' && timeoutMs > 0 && timeoutMs < 2 ** 31)) {
    refuse('grpcWeb({ timeoutMs }) must be a number of milliseconds above 0.', 'timeoutMs')
  }
  if (typeof resume !== 'boolean') refuse('grpcWeb({ resume }) must be true or false.', 'resume')
  const checked: GrpcWebLoadOptions = { chatTemplate, timeoutMs, resume }
  return {
    name: 'grpcWeb',
    options: checked,
    tokenizer,
    refused: {
      canContinue: 'It can always continue an answer, by its tokens: leave it out.',
      server: 'Only vLLM has this service: leave it out.',
      supports: 'The chat template decides what the model supports: leave it out.',
      allowMissingFinishReason: 'An answer always ends with a message: leave it out.',
      extraBody: 'The messages have no other fields: leave it out.',
    },
    createWorker: () =>
      new Worker(new URL('../workers/grpc-web.worker.js', import.meta.url), {
        type: 'module',
        name: 'rivulet-grpc-web',
      }),
  }
}

const optionNames: readonly string[] = [
  'tokenizer',
  'chatTemplate',
  'timeoutMs',
  'resume',
] satisfies (keyof GrpcWebOptions)[]
