import type { Engine } from 'rivulet'
import { measureTimes, type Answer, type Turn } from './subject.js'

/** Runs a turn through rivulet's public API. Times are taken where the page reads the stream. */
export async function askEngine(
  engine: Engine,
  { prompt, maxTokens, jsonSchema, topLogprobs }: Turn,
): Promise<Answer> {
  const tokenTimesMs: number[] = []
  const startMs = performance.now()
  const stream = engine.generate(prompt, {
    maxTokens,
    temperature: 0,
    applyChatTemplate: false,
    ...(topLogprobs !== undefined && { topLogprobs }),
    ...(jsonSchema && { responseFormat: { jsonSchema } }),
  })
  for await (const { tokenCount } of stream) if (tokenCount > 0) tokenTimesMs.push(performance.now())
  const { text, usage } = await stream.result
  return { promptTokens: usage.promptTokens, text, ...measureTimes(startMs, tokenTimesMs) }
}
