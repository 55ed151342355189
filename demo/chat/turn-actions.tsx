import { useSignal } from '@preact/signals'
import { Icon } from '../app/icons.js'
import type { ShownTurn } from './thread.js'

interface TurnActionProps {
  readonly label: string
  readonly icon: Parameters<typeof Icon>[0]['name']
  readonly onClick: () => void
}

export function TurnAction({ label, icon, onClick }: TurnActionProps) {
  return (
    <button type="button" class="turn-action" aria-label={label} title={label} onClick={onClick}>
      <Icon name={icon} />
    </button>
  )
}

interface CopyActionProps {
  readonly text: string
  readonly announce: (status: string) => void
}

export function CopyAction({ text, announce }: CopyActionProps) {
  const isCopied = useSignal(false)
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text)
      isCopied.value = true
      announce('Copied.')
      setTimeout(() => (isCopied.value = false), 2000)
    } catch {
      announce('Copying failed: the browser blocked access to the clipboard.')
    }
  }
  return <TurnAction label="Copy" icon={isCopied.value ? 'check' : 'copy'} onClick={() => void copy()} />
}

interface VersionsProps {
  readonly shown: ShownTurn
  readonly onChoose: (id: string) => void
}

/** ‹ 2/3 ›: switches between the versions of a question or an answer. */
export function Versions({ shown: { turn, versions }, onChoose }: VersionsProps) {
  if (versions.length < 2) return null
  const index = versions.indexOf(turn.id)
  const noun = turn.role === 'user' ? 'message' : 'answer'
  const step = (label: string, icon: 'previous' | 'next', target: string | undefined) => (
    <button
      type="button"
      class="turn-action"
      aria-label={`${label} version of this ${noun}`}
      // Not `disabled`: a disabled button loses the focus at the last version.
      aria-disabled={target === undefined}
      onClick={() => target !== undefined && onChoose(target)}
    >
      <Icon name={icon} />
    </button>
  )
  return (
    <span class="versions" role="group" aria-label={`Versions of this ${noun}`}>
      {step('Previous', 'previous', versions[index - 1])}
      <span class="version-count">
        {index + 1}/{versions.length}
      </span>
      {step('Next', 'next', versions[index + 1])}
    </span>
  )
}
