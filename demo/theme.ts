import { pageElement } from './page-element.js'

type Theme = 'light' | 'dark'

const storageKey = 'rivulet-demo-theme'

/** Follows the system until a theme is chosen on the page; the choice is kept where the browser lets it. */
export function installTheme(): void {
  const button = pageElement('toggle-theme', HTMLButtonElement)
  const systemDark = matchMedia('(prefers-color-scheme: dark)')
  let chosen = readStored()

  function show(): void {
    const theme = chosen ?? (systemDark.matches ? 'dark' : 'light')
    if (chosen) document.documentElement.dataset.theme = chosen
    button.setAttribute('aria-pressed', String(theme === 'dark'))
    const paper = getComputedStyle(document.body).backgroundColor
    document.querySelector('meta[name="theme-color"]')?.setAttribute('content', paper)
  }

  button.addEventListener('click', () => {
    chosen = button.getAttribute('aria-pressed') === 'true' ? 'light' : 'dark'
    store(chosen)
    show()
  })
  systemDark.addEventListener('change', show)
  show()
}

function readStored(): Theme | undefined {
  try {
    const stored = localStorage.getItem(storageKey)
    return stored === 'light' || stored === 'dark' ? stored : undefined
  } catch {
    // Storage is off: the theme then lasts as long as the page.
    return undefined
  }
}

function store(theme: Theme): void {
  try {
    localStorage.setItem(storageKey, theme)
  } catch {
    // As above.
  }
}
