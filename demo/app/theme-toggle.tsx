import { Icon } from './icons.js'
import type { ThemeChoice } from './theme.js'

export function ThemeToggle({ theme }: { readonly theme: ThemeChoice }) {
  return (
    <button
      type="button"
      class="action"
      aria-label="Dark theme"
      aria-pressed={theme.isDark.value}
      onClick={theme.toggle}
    >
      <Icon name="theme" />
    </button>
  )
}
