'use client'

import { useChat } from '@ai-sdk/react'
import { DirectChatTransport, ToolLoopAgent, type LanguageModelUsage, type UIMessage } from 'ai'
import { useState } from 'react'
import type { Engine } from 'rivulet'
import { languageModel } from 'rivulet/ai-sdk'

type StoryMessage = UIMessage<{ readonly usage: LanguageModelUsage }, never>

const createTransport = (engine: Engine) =>
  new DirectChatTransport<never, {}, {}, never, StoryMessage>({
    agent: new ToolLoopAgent({ model: languageModel(engine), maxOutputTokens: 120 }),
    messageMetadata: ({ part }) => (part.type === 'finish' ? { usage: part.totalUsage } : undefined),
    // The SDK hides error messages, as a server must. This error is from the user's own page.
    onError: (error) => (error instanceof Error ? error.message : String(error)),
  })

export function AiSdkChat({ engine }: { readonly engine: Engine }) {
  const [transport] = useState(() => createTransport(engine))
  const { messages, status, error, sendMessage, stop } = useChat<StoryMessage>({ transport })
  const isAnswering = status === 'submitted' || status === 'streaming'
  return (
    <main>
      <p role="status">{status}</p>
      {messages.map(({ id, role, parts, metadata }) => (
        <article key={id} aria-label={role}>
          <p>{parts.map((part) => (part.type === 'text' ? part.text : ''))}</p>
          {metadata && <small>{metadata.usage.outputTokens} tokens</small>}
        </article>
      ))}
      {error && <p role="alert">{error.message}</p>}
      <form action={(form) => void sendMessage({ text: String(form.get('question')) })}>
        <input name="question" aria-label="Question" required />
        <button disabled={isAnswering}>Send</button>
      </form>
      <button onClick={stop} disabled={!isAnswering}>
        Stop
      </button>
    </main>
  )
}
