import { computed, effect, signal, type ReadonlySignal } from '@preact/signals'
import { browserTexts } from './stored.js'

type Theme = 'light' | 'dark'

const storageKey = 'rivulet-demo-theme'

export interface ThemeChoice {
  readonly isDark: ReadonlySignal<boolean>
  toggle(): void
}

/** Follows the system theme until the user chooses one on the page. The choice is saved if the browser allows it. */
export function installTheme(): ThemeChoice {
  const systemDark = matchMedia('(prefers-color-scheme: dark)')
  const system = signal<Theme>(systemDark.matches ? 'dark' : 'light')
  systemDark.addEventListener('change', () => (system.value = systemDark.matches ? 'dark' : 'light'))
  const chosen = signal(readTheme())
  const isDark = computed(() => (chosen.value ?? system.value) === 'dark')

  effect(() => {
    void isDark.value
    if (chosen.value) document.documentElement.dataset.theme = chosen.value
    const paper = getComputedStyle(document.body).backgroundColor
    document.querySelector('meta[name="theme-color"]')?.setAttribute('content', paper)
  })
  return {
    isDark,
    toggle() {
      chosen.value = isDark.value ? 'light' : 'dark'
      browserTexts.write(storageKey, chosen.value)
    },
  }
}

function readTheme(): Theme | undefined {
  const stored = browserTexts.read(storageKey)
  return stored === 'light' || stored === 'dark' ? stored : undefined
}
