import { createEngine, type LoadProgress } from 'rivulet'
import { createBackends, type ModelChoice } from '../model-choice.js'

/**
 * Fetches a model's files into the store, and goes on behind what is there already. Nothing is run: loading is given up
 * where it would begin, when all files are there.
 * @param signal pauses it: what has come stays
 * @throws as `createEngine`, or the signal's reason
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
