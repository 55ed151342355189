'use client'

import { createEngine } from 'rivulet'
import type { ChatTurn } from 'rivulet/chat'
import { onnx } from 'rivulet/onnx'
import { useRivuletChat, useRivuletEngine } from 'rivulet/react'

export function StoryChat({ model }: { readonly model: string }) {
  const { engine, progress, error, retry } = useRivuletEngine(
    (load) => createEngine({ backend: onnx(), model, ...load }),
    [model],
  )
  const { messages, status, send, stop, regenerate } = useRivuletChat({
    engine,
    sampling: { maxTokens: 120 },
  })
  const isAnswering = status.kind === 'answering'
  return (
    <main>
      <p role="status">{status.kind}</p>
      {status.kind === 'loading' && <progress value={progress?.fraction ?? 0} />}
      {error && <button onClick={retry}>Load again</button>}
      {messages.map((message) => (
        <article key={message.id} aria-label={message.role}>
          <p>{message.text}</p>
          <Footnote message={message} />
        </article>
      ))}
      {status.kind === 'failed' && <p role="alert">{status.error.message}</p>}
      <form action={(form) => void send(String(form.get('question')))}>
        <input name="question" aria-label="Question" required />
        <button disabled={isAnswering}>Send</button>
      </form>
      <button onClick={stop} disabled={!isAnswering}>
        Stop
      </button>
      <button onClick={() => regenerate()} disabled={isAnswering || messages.length === 0}>
        Again
      </button>
    </main>
  )
}

function Footnote({ message }: { readonly message: ChatTurn }) {
  if (message.role === 'user' || message.state.kind !== 'finished') return null
  const { finishReason, latency } = message.state
  return (
    <small>
      {finishReason}, {latency?.timeToFirstTokenMs?.toFixed(0)} ms to the first token
    </small>
  )
}
