// A stand-in for web-llm 0.2.86's `LLMChatPipeline`, modelled on its source (llm_chat.ts): the real one needs a model library,
// which is not available to the tests. Here, each character of a prompt is a token.
import { createNamedError, type Script, type ScriptedSampling, type Seen } from './script.test-support.js'
import type { ChatConfig, MlcTokenizer } from './runtime.js'

/** web-llm's `Conversation`: renders prompts, and detects whether one continues another. */
interface Conversation {
  readonly isTextCompletion: boolean
  prompt?: string
  appendMessage(role: string, content: string): void
  appendReplyHeader(role: string): void
  appendEmptyThinkingReplyHeader(role: string, block: string): void
  finishReply(answer: string): void
  getPromptArray(): string[]
  getPromptArrayLastRound(): string[]
  reset(): void
}

interface GenerationConfig extends Omit<ScriptedSampling, 'seed' | 'content'> {
  readonly max_tokens?: number
}

const emptyThought = '<think>\n\n</think>\n\n'

export function createScriptedPipeline(script: Script, seen: Seen, config: ChatConfig) {
  let conversation: Conversation | undefined
  // Makes the engine start with a new conversation.
  let finishReason: string | undefined = 'abort'
  let kvTokens = 0
  let promptTokens = 0
  let completionTokens = 0
  let message = ''
  let answer: readonly (string | Uint8Array)[] = []
  let hasStopped = false
  /** What the engine wrote before the answer. It is a part of the message, and counts for `max_tokens`. */
  let written: readonly string[] = []
  let seed = 0
  const tokenizer = createTokenizer(script.vocabulary ?? [])
  let prefillMs = 0
  let decodeMs = 0

  function stop(reason: string): void {
    hasStopped = true
    finishReason = reason
  }

  /** Checks end token, stop string, length and context in the order of `processNextToken`. */
  function commit({ max_tokens = Infinity }: GenerationConfig): void {
    const token = answer[completionTokens]
    completionTokens += 1
    if (token === undefined) stop('stop')
    message = decode([...written, ...answer.slice(0, completionTokens)])
    const found = config.conv_template.stop_str.find((each) => message.includes(each))
    if (found !== undefined) {
      message = message.slice(0, message.lastIndexOf(found))
      stop('stop')
    }
    const writtenTokens = tokenizer.encode(written.join('')).length
    if (token !== undefined && writtenTokens + completionTokens >= max_tokens) stop('length')
    if (kvTokens === config.context_window_size) stop('length')
    if (hasStopped && !conversation!.isTextCompletion) conversation!.finishReply(message)
  }

  /** @returns its duration in milliseconds */
  async function compute(): Promise<number> {
    const started = performance.now()
    await script.onStep?.(completionTokens)
    if (completionTokens === script.lostAt) {
      seen.loseDevice()
      throw new Error('NDArray has already been disposed')
    }
    seen.steps += 1
    return performance.now() - started
  }

  return {
    tokenizer,
    getConversationObject: () => conversation,
    setConversation: (next: Conversation) => (conversation = next),
    getFinishReason: () => finishReason,
    getMessage: () => message,
    stopped: () => hasStopped,
    setSeed: (next: number) => (seed = next),
    getCurRoundCompletionTotalTokens: () => completionTokens,
    getCurRoundDecodingTotalTokens: () => completionTokens - 1,
    getCurRoundPrefillTotalTokens: () => promptTokens,
    getCurRoundPrefillTotalTime: () => prefillMs / 1000,
    getCurRoundDecodingTotalTime: () => decodeMs / 1000,
    getCurRoundPrefillTokensPerSec: () => 1,
    getCurRoundDecodingTokensPerSec: () => 1,
    getCurRoundGrammarInitTotalTime: () => 0,
    getCurRoundGrammarPerTokenTotalTime: () => 0,
    resetChat() {
      conversation?.reset()
      finishReason = undefined
      kvTokens = 0
    },
    triggerStop() {
      if (hasStopped) return
      stop('abort')
      if (!conversation!.isTextCompletion) conversation!.finishReply(message)
    },
    async prefillStep(content: string, role: string, _name: undefined, generation: GenerationConfig) {
      hasStopped = false
      message = ''
      completionTokens = 0
      answer = script.answers?.shift() ?? script.speak?.({ ...generation, seed, content }) ?? []
      written = generation.enable_thinking === false ? [emptyThought] : []
      if (conversation!.isTextCompletion) conversation!.prompt = content
      else {
        conversation!.appendMessage(role, content)
        if (written.length > 0) conversation!.appendEmptyThinkingReplyHeader('assistant', emptyThought)
        else conversation!.appendReplyHeader('assistant')
      }
      const prompt = readPrompt(conversation!, kvTokens > 0)
      if (kvTokens + prompt.length > config.context_window_size) {
        throw createNamedError('ContextWindowSizeExceededError', `Prompt tokens: ${prompt.length}`)
      }
      promptTokens = prompt.length
      kvTokens += prompt.length
      seen.prefilled.push(prompt)
      seen.promptTokens.push(kvTokens)
      prefillMs = await compute()
      decodeMs = 0
      commit(generation)
    },
    async decodeStep(generation: GenerationConfig) {
      kvTokens += 1
      decodeMs += await compute()
      commit(generation)
    },
    dispose() {},
    async sync() {},
  }
}

function readPrompt(conversation: Conversation, isContinued: boolean): string {
  if (conversation.isTextCompletion) return conversation.prompt ?? ''
  return (isContinued ? conversation.getPromptArrayLastRound() : conversation.getPromptArray()).join('')
}

/** Decodes like `ByteFallback` of tokenizers: consecutive bytes form text, or one U+FFFD each if they are invalid. */
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
    if (typeof token === 'string') {
      flush()
      text += token
    } else {
      bytes.push(...token)
    }
  }
  flush()
  return text
}

/** A token for each entry of the vocabulary, and one for each other character. */
function createTokenizer(vocabulary: readonly string[]): MlcTokenizer {
  const firstCharacter = 1000
  return {
    encode(text) {
      const ids: number[] = []
      for (let start = 0; start < text.length;) {
        const id = vocabulary.findIndex((token) => text.startsWith(token, start))
        ids.push(id === -1 ? firstCharacter + text.charCodeAt(start) : id)
        start += vocabulary[id]?.length ?? 1
      }
      return ids
    },
    idToToken: (id) => vocabulary[id] ?? String.fromCharCode(id - firstCharacter),
  }
}
