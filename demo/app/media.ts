import { signal, type ReadonlySignal } from '@preact/signals'

/** Whether a media query holds, as it changes. */
export function watchMedia(query: string): ReadonlySignal<boolean> {
  const list = matchMedia(query)
  const matches = signal(list.matches)
  list.addEventListener('change', () => (matches.value = list.matches))
  return matches
}
