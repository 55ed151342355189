import { signal } from '@preact/signals'
import { useLayoutEffect, useMemo, useRef } from 'preact/hooks'
import './markdown.css'
import { createMarkdownView, type MarkdownView } from './markdown-view.js'

export interface MarkdownProps {
  readonly text: string
  readonly isDone: boolean
}

/** Shows a model's growing text as Markdown. HTML in it is shown as text, no script runs, and nothing is fetched. */
export function Markdown({ text, isDone }: MarkdownProps) {
  const content = useRef<HTMLDivElement>(null)
  const view = useRef<MarkdownView>(null)
  const announcement = useMemo(() => signal(''), [])
  useLayoutEffect(() => {
    view.current ??= createMarkdownView(content.current!)
    view.current.show(text, isDone)
  }, [text, isDone])
  return (
    <div class="markdown">
      <div
        ref={content}
        onClick={async ({ target }) => {
          const button = (target as Element).closest('.copy-code')
          if (button !== null) announcement.value = await copyCode(button)
        }}
      />
      <span class="visually-hidden" role="status">
        {announcement}
      </span>
    </div>
  )
}

/** Copies the block's code and returns the message to announce. */
async function copyCode(button: Element): Promise<string> {
  const code = button.closest('.code-block')?.querySelector('code')?.textContent ?? ''
  try {
    await navigator.clipboard.writeText(code)
    return 'Code copied.'
  } catch {
    return 'Copying failed: the browser blocked access to the clipboard.'
  }
}
