import { RivuletError } from '../../lib/contract/errors.js'
import type { GenerateRequest } from '../../lib/contract/request.js'
import type { AnswerEnd, GenerationStep } from '../../lib/contract/worker-api.js'
import type { GenerateContext } from '../backend.js'

/** An answer to its end, whichever that is. */
export interface CollectedAnswer {
  readonly steps: readonly GenerationStep[]
  /** Why it ended, or the code of its error. */
  readonly end: string
  /** The message of its error; empty without one. */
  readonly message: string
}

interface Generator {
  generate(
    request: GenerateRequest,
    context: GenerateContext,
  ): AsyncGenerator<GenerationStep, AnswerEnd, undefined>
}

/** Reads an answer to its end. */
export async function collectAnswer(
  backend: Generator,
  request: GenerateRequest,
  context: GenerateContext,
): Promise<CollectedAnswer> {
  const steps: GenerationStep[] = []
  const generator = backend.generate(request, context)
  try {
    for (;;) {
      const { done, value } = await generator.next()
      if (done) return { steps, end: value, message: '' }
      steps.push(value)
    }
  } catch (error) {
    if (!(error instanceof RivuletError)) throw error
    return { steps, end: error.code, message: error.message }
  }
}
