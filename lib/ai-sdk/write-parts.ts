import type { LanguageModelV4Content, LanguageModelV4StreamPart } from '@ai-sdk/provider'
import type { TokenChunk } from '../contract/worker-api.js'
import type { GenerationResult } from '../generation.js'

/** Writes the chunks of one answer as parts of the SDK's stream. */
export interface PartWriter {
  write(chunk: TokenChunk): readonly LanguageModelV4StreamPart[]
  /** Returns the parts that end the answer, without `finish`. */
  end(toolCalls: GenerationResult['toolCalls']): readonly LanguageModelV4StreamPart[]
}

export function createPartWriter(): PartWriter {
  /** The part that is open, and how many there were of both kinds: each has an id of its own. */
  let open: { readonly kind: 'text' | 'reasoning'; readonly id: string } | undefined
  let opened = 0
  const callIds: string[] = []

  function close(): LanguageModelV4StreamPart[] {
    const closed = open
    open = undefined
    return closed ? [{ type: `${closed.kind}-end`, id: closed.id }] : []
  }

  function add(kind: 'text' | 'reasoning', delta: string): LanguageModelV4StreamPart[] {
    const parts = open?.kind === kind ? [] : close()
    if (!open) {
      open = { kind, id: `${kind}-${opened}` }
      opened += 1
      parts.push({ type: `${kind}-start`, id: open.id })
    }
    return [...parts, { type: `${kind}-delta`, id: open.id, delta }]
  }

  function addCalls(deltas: NonNullable<TokenChunk['toolCalls']>): LanguageModelV4StreamPart[] {
    return deltas.flatMap(({ index, id, name = '', argumentsDelta: delta }): LanguageModelV4StreamPart[] => {
      const isNew = callIds[index] === undefined
      const callId = (callIds[index] ??= id ?? `call-${index}`)
      const start: LanguageModelV4StreamPart[] = isNew
        ? [...close(), { type: 'tool-input-start', id: callId, toolName: name }]
        : []
      return delta === '' ? start : [...start, { type: 'tool-input-delta', id: callId, delta }]
    })
  }

  return {
    write({ text, reasoning = '', toolCalls = [] }) {
      // A chunk without content is a token that is held back: the SDK counts it as text.
      const isText = text !== '' || (reasoning === '' && toolCalls.length === 0)
      return [
        ...(reasoning === '' ? [] : add('reasoning', reasoning)),
        ...(isText ? add('text', text) : []),
        ...addCalls(toolCalls),
      ]
    },
    end: (toolCalls) => [
      ...close(),
      ...callIds.map((id) => ({ type: 'tool-input-end', id }) as const),
      ...writeCalls(toolCalls),
    ],
  }
}

/** Returns a whole answer as the SDK's content. */
export function writeContent({ text, reasoning, toolCalls }: GenerationResult): LanguageModelV4Content[] {
  const isText = text !== '' || (reasoning === '' && toolCalls.length === 0)
  return [
    ...(reasoning === '' ? [] : [{ type: 'reasoning', text: reasoning } as const]),
    ...(isText ? [{ type: 'text', text } as const] : []),
    ...writeCalls(toolCalls),
  ]
}

function writeCalls(toolCalls: GenerationResult['toolCalls']) {
  return toolCalls.map(
    ({ id, name, arguments: input }) =>
      ({ type: 'tool-call', toolCallId: id, toolName: name, input }) as const,
  )
}
