import { createEngine, type LoadProgress } from 'rivulet'
import { createBackends, type ModelChoice } from '../model-choice.js'

/**
 * Downloads a model's files into the store, resuming a partial download. Does not run the model: loading is aborted as
 * soon as all files are stored.
 * @param signal pauses the download: the stored part stays
 * @throws like `createEngine`, or the signal's reason
 */
export async function downloadModel(
  choice: ModelChoice,
  { signal, onProgress }: { signal: AbortSignal; onProgress: (progress: LoadProgress) => void },
): Promise<void> {
  const stored = new AbortController()
  try {
    const engine = await createEngine({
      backend: await createBackends(choice),
      signal: AbortSignal.any([signal, stored.signal]),
      onProgress(progress) {
        if (progress.phase === 'load' || progress.phase === 'warm-up') stored.abort()
        else onProgress(progress)
      },
    })
    await engine.dispose()
  } catch (error) {
    if (!stored.signal.aborted || signal.aborted) throw error
  }
}
