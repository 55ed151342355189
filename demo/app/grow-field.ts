import type { RefObject } from 'preact'
import { useLayoutEffect } from 'preact/hooks'

const hasFieldSizing = CSS.supports('field-sizing', 'content')

/** Makes a field as high as its text, up to its `max-height`. With CSS's `field-sizing`, the style sheet does this. */
export function growField(field: HTMLTextAreaElement | null): void {
  if (hasFieldSizing || !field) return
  field.style.height = 'auto'
  const borderHeight = field.offsetHeight - field.clientHeight
  field.style.height = `${field.scrollHeight + borderHeight}px`
}

/** Calls `growField` whenever the text changes. */
export function useGrowingField(field: RefObject<HTMLTextAreaElement | null>, text: string): void {
  useLayoutEffect(() => growField(field.current), [text])
}
