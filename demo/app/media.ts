import { signal, type ReadonlySignal } from '@preact/signals'

/** A signal that is true while the media query matches. */
export function watchMedia(query: string): ReadonlySignal<boolean> {
  const list = matchMedia(query)
  const matches = signal(list.matches)
  list.addEventListener('change', () => (matches.value = list.matches))
  return matches
}
