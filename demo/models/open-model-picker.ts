import type { ModelChoice } from '../model-choice.js'

/** Opens the dialog in which a model is chosen. Its code comes when it is first asked for. */
export async function openModelPicker(
  choice: ModelChoice,
  onChoose: (choice: ModelChoice) => void,
): Promise<void> {
  const { showModelPicker } = await import('./model-picker.js')
  showModelPicker({ choice, onChoose })
}
