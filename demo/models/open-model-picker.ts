import type { ModelChoice } from '../model-choice.js'

/** Opens the models dialog. Loads its code on first use. */
export async function openModelPicker(
  choice: ModelChoice,
  onChoose: (choice: ModelChoice) => void,
): Promise<void> {
  const { showModelPicker } = await import('./model-picker.js')
  showModelPicker({ choice, onChoose })
}
