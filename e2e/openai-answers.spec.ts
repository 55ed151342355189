// Several answers to one prompt (`n`), with OpenAI's unchanged client.
import { expect, test } from '@playwright/test'
import { embeddedModel, openBarePage } from './bare-page.js'

/** Answers share the prefill of a prompt that is worth waiting for: one of 32 tokens or more. */
const longQuestion = [
  {
    role: 'user' as const,
    content:
      'Tell me a story about a dragon that lives in a cave, and a little girl who has a red ball. The dragon is big and kind, and wants to play with the ball. They go to the park, and the sun is warm.',
  },
]

const asked = { model: 'local', temperature: 0, max_tokens: 12 } as const

for (const [how, maxConcurrentGenerations] of Object.entries({ 'in turns': 1, 'at the same time': 4 })) {
  test(
    `n answers, ${how}, are those of n requests with the next seeds, and their prompt is computed once`,
    { tag: maxConcurrentGenerations > 1 ? [] : '@soak' },
    async ({ page }) => {
      await openBarePage(page, { hasClients: true })
      const seen = await page.evaluate(
        async ({ model, maxConcurrentGenerations, messages, asked }) => {
          const { createEngine, onnx, openaiFetch } = window.rivulet
          const prompts: { readonly tokens: number; readonly cached: number }[] = []
          const engine = await createEngine({
            backend: onnx({ device: 'wasm', maxConcurrentGenerations }),
            model,
            observer: {
              onEnd({ outcome }) {
                const { promptTokens, cachedPromptTokens } =
                  outcome.kind === 'finished' ? outcome.result.usage : outcome.figures.usage
                prompts.push({ tokens: promptTokens, cached: cachedPromptTokens })
              },
            },
          })
          const client = new window.OpenAI({
            baseURL: 'https://local.example/v1',
            apiKey: 'local',
            dangerouslyAllowBrowser: true,
            fetch: openaiFetch(engine),
          })
          const ask = async (options: { n?: number; seed?: number; temperature?: number }) => {
            const { choices } = await client.chat.completions.create({ ...asked, messages, ...options })
            return choices.map(({ message }) => message.content)
          }
          const greedy = await ask({ n: 3 })
          const computed = prompts.splice(0)
          const sampled = { temperature: 1.5 }
          const together = await ask({ n: 3, seed: 7, ...sampled })
          const apart: (string | null)[] = []
          for (const seed of [7, 8, 9]) apart.push(...(await ask({ seed, ...sampled })))
          const alone = await ask({})
          await engine.dispose()
          return { greedy, computed, together, apart, alone }
        },
        { model: embeddedModel, maxConcurrentGenerations, messages: longQuestion, asked },
      )
      const [alone] = seen.alone
      expect(seen.greedy).toEqual([alone, alone, alone])
      expect(seen.together).toEqual(seen.apart)
      expect(new Set(seen.together).size).toBe(3)
      const tokens = seen.computed.map((prompt) => prompt.tokens - prompt.cached).toSorted((a, b) => a - b)
      // The last token of a prompt is always computed, for its logits.
      expect(tokens).toEqual([1, 1, seen.computed[0]!.tokens])
    },
  )
}
