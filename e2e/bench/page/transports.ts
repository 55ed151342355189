import { createEngine, type Engine } from 'rivulet'
import { grpcWeb } from 'rivulet/grpc-web'
import { remote, type RemoteTransport } from 'rivulet/remote'
import { responses } from 'rivulet/responses'
import { describePlan, sequence, type Section } from './plan.js'
import { createRow } from './rows.js'

/**
 * Measures what a token costs on its way from a server on the same machine to the page, over each transport of `remote()`. The
 * servers send whole answers at once, so that the client is what takes the time.
 */
export const measureTransports: Section = async (plan) => {
  const { url, responsesUrl, tokens } = plan.transports
  const open = (baseURL: string, transport?: RemoteTransport) =>
    createEngine({
      backend: remote({
        baseURL,
        model: 'served-model',
        skipModelList: true,
        ...(transport && { transport }),
      }),
    })
  const engines: readonly (readonly [name: string, engine: Engine])[] = [
    ['sse()', await open(`${url}v1/`)],
    ['responses()', await open(responsesUrl, responses())],
    ['responses({ webSocket })', await open(responsesUrl, responses({ webSocket: true }))],
    ['grpcWeb()', await open(url, grpcWeb({ tokenizer: plan.model.url }))],
  ]
  /** Returns the microseconds for each token of an answer. */
  const ask = async (engine: Engine) => {
    const startMs = performance.now()
    const text = await engine.generate('Tell me a story.', { maxTokens: tokens + 1 }).text()
    const passedMs = performance.now() - startMs
    if (text !== ' upon'.repeat(tokens)) throw new Error(`The text has ${text.length} characters.`)
    return (passedMs / tokens) * 1000
  }
  try {
    // Until the code is compiled.
    for (const [, engine] of engines) for (const _ of sequence(5)) await ask(engine)
    const measured = engines.map(([name]) => ({ name, values: [] as number[] }))
    for (const round of sequence(plan.rounds)) {
      for (const turn of engines.keys()) {
        const index = (round + turn) % engines.length
        measured[index]!.values.push(await ask(engines[index]![1]))
      }
    }
    const [baseline, ...others] = measured
    const row = { ...describePlan(plan), unit: 'µs' }
    return [
      createRow({ ...row, quantity: `time per token, ${baseline!.name}`, values: baseline!.values }),
      ...others.map(({ name, values }) =>
        createRow({ ...row, quantity: `time per token, ${name}`, values, baseline: baseline! }),
      ),
    ]
  } finally {
    await Promise.all(engines.map(([, engine]) => engine.dispose()))
  }
}
