/**
 * The sizes of the self-test. The self-test also compiles the shaders for a first prompt, for a prompt after a cache, and
 * for a decode step. Each of its two prompts has `promptTokens` tokens. This number is not a multiple of a kernel's tile
 * size, since a multiple would use other shaders.
 */
const sizes = { promptTokens: 20, answerTokens: 3 }

/** What the self-test needs of a decoder. */
export interface TestedDecoder {
  readonly device: GPUDevice
  readonly hasFixedStates: boolean
  /** True if decode steps are replayed. The decoder sets it to false if a step cannot be replayed. */
  canReplay: boolean
  /** Removes all tokens. */
  reset(): void
  prefill(ids: readonly number[]): Promise<void>
  /** Starts a greedy answer after these tokens. */
  startAnswer(ids: readonly number[]): void
  next(position: number): Promise<number>
}

/** Sets `canReplay` to true if the answer with replay is possible and equals the one without. */
export async function testReplay(decoder: TestedDecoder): Promise<void> {
  const replayed = decoder.canReplay ? await tryReplay(decoder) : undefined
  decoder.canReplay = false
  const computed = await answerPrompt(decoder)
  decoder.canReplay = replayed === computed
}

/** @returns the tokens of the answer with replay, or undefined if replay does not work on this device */
async function tryReplay(decoder: TestedDecoder): Promise<string | undefined> {
  const { device } = decoder
  device.pushErrorScope('validation')
  const tokens = await answerPrompt(decoder).catch(() => undefined)
  const error = await device.popErrorScope()
  return decoder.canReplay && error === null ? tokens : undefined
}

async function answerPrompt(decoder: TestedDecoder): Promise<string> {
  decoder.reset()
  const prompt = Array.from({ length: sizes.promptTokens }, (_, index) => index)
  await decoder.prefill(prompt)
  await decoder.prefill(prompt)
  decoder.startAnswer([...prompt, ...prompt])
  const tokens: number[] = []
  // With states of fixed size, the first two steps are recorded, and the next ones replayed.
  const answerTokens = sizes.answerTokens + (decoder.hasFixedStates ? 2 : 0)
  while (tokens.length < answerTokens) tokens.push(await decoder.next(tokens.length))
  decoder.reset()
  return tokens.join()
}
