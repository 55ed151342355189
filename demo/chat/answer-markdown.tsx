import { signal } from '@preact/signals'
import type { ComponentType } from 'preact'

interface MarkdownProps {
  readonly text: string
  readonly isDone: boolean
}

const loaded = signal<ComponentType<MarkdownProps> | undefined>(undefined)

/** Renders Markdown. Its code is loaded with the first answer; until then the text is shown as plain text. */
export function AnswerMarkdown(props: MarkdownProps) {
  const Markdown = loaded.value
  if (Markdown) return <Markdown {...props} />
  void loadMarkdown()
  return props.text === '' ? null : <p class="plain-text">{props.text}</p>
}

async function loadMarkdown(): Promise<void> {
  const { Markdown } = await import('../markdown/markdown.js')
  loaded.value = Markdown
}
