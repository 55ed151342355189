import { listOptions, type OptionName } from '../../lib/contract/option-table.js'
import type { ServerKind } from '../../lib/contract/remote-options.js'

/** How a kind of server differs from OpenAI's API with vLLM's additional fields. */
interface Dialect {
  /** What its list of models has as a model's `owned_by`; undefined if the kind cannot be told from the list. */
  readonly ownedBy?: string
  /** The host that runs this kind of server. */
  readonly host?: string
  /** The server's names for fields. */
  readonly names?: { readonly [Name in OptionName]?: string }
  /** The options that the server ignores, or refuses as unknown. */
  readonly unsupported?: readonly OptionName[]
}

/**
 * The kinds of servers. Sources: llama.cpp tools/server/README.md, llama-cpp-python server/types.py, Ollama
 * docs/openai.md, OpenAI "Create chat completion". LiteLLM's proxy says that OpenAI owns every model, so OpenAI is known by
 * its host.
 */
const dialects: Readonly<Record<ServerKind, Dialect>> = {
  'llama-cpp': { ownedBy: 'llamacpp', names: { repetitionPenalty: 'repeat_penalty' } },
  'llama-cpp-python': { ownedBy: 'me', names: { repetitionPenalty: 'repeat_penalty' } },
  ollama: { ownedBy: 'library', unsupported: ['topK', 'minP', 'repetitionPenalty', 'logitBias'] },
  openai: {
    host: 'api.openai.com',
    names: { maxTokens: 'max_completion_tokens' },
    unsupported: ['topK', 'minP', 'repetitionPenalty'],
  },
  sglang: { ownedBy: 'sglang' },
  vllm: { ownedBy: 'vllm' },
}

/** Finds the kind of a server by its host, or by the owner that its list of models names. */
export function findServerKind(host: string, ownedBy: string | undefined): ServerKind | undefined {
  const kinds = Object.keys(dialects) as ServerKind[]
  return kinds.find((kind) => {
    const dialect = dialects[kind]
    return dialect.host === host || (ownedBy !== undefined && dialect.ownedBy === ownedBy)
  })
}

/** Returns the names of a server's fields where they are not OpenAI's or vLLM's. */
export function listFieldNames(kind: ServerKind | undefined): NonNullable<Dialect['names']> {
  return (kind && dialects[kind].names) ?? {}
}

/** Returns the options that a server supports. Of an unknown server, all options that OpenAI's and vLLM's API have. */
export function listServerOptions(kind: ServerKind | undefined): readonly OptionName[] {
  const { unsupported = [] } = kind ? dialects[kind] : {}
  return listOptions('remote').filter((name) => !unsupported.includes(name))
}
