import { signal } from '@preact/signals'
import { useLayoutEffect, useMemo, useRef } from 'preact/hooks'
import './markdown.css'
import { createMarkdownView, type MarkdownView } from './markdown-view.js'

export interface MarkdownProps {
  readonly text: string
  readonly isDone: boolean
}

/** A text that a model writes, as it grows. Nothing in it becomes markup or script, and nothing is fetched for it. */
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

/** Copies what the block shows, and says how that went. */
async function copyCode(button: Element): Promise<string> {
  const code = button.closest('.code-block')?.querySelector('code')?.textContent ?? ''
  try {
    await navigator.clipboard.writeText(code)
    return 'Code copied.'
  } catch {
    return 'The browser did not allow copying.'
  }
}
