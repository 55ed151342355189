import { useSignal, useSignalEffect } from '@preact/signals'
import type { ComponentType } from 'preact'
import type { SettingsDialogProps } from './settings-dialog.js'

/** The settings dialog. Loads its code when it is first opened. */
export function LazySettings(props: SettingsDialogProps) {
  const dialog = useSignal<ComponentType<SettingsDialogProps> | undefined>(undefined)
  useSignalEffect(() => {
    if (props.isOpen.value && !dialog.peek()) void load()
  })
  async function load(): Promise<void> {
    const { SettingsDialog } = await import('./settings-dialog.js')
    dialog.value = SettingsDialog
  }
  const Loaded = dialog.value
  return Loaded ? <Loaded {...props} /> : null
}
