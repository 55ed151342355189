// Runs transformers.js in a worker, as its documentation shows.
import { startProbe } from './probe.js'
import { AutoModelForCausalLM, AutoTokenizer, env, TextStreamer } from '@huggingface/transformers'
import { StructuredOutputProcessor } from '@huggingface/transformers-structured-output'
import { serveLoop } from './loop-worker.js'

let loaded: { readonly tokenizer: AutoTokenizer; readonly model: AutoModelForCausalLM } | undefined

serveLoop({
  async load({ model: { url, dtype }, device, usesCache = false }) {
    const folder = new URL(url)
    const [, root, name] = /^(.*\/)([^/]+)\/$/.exec(folder.pathname) ?? []
    if (root === undefined || name === undefined)
      throw new Error(`${url} is not a folder URL. It must end with a slash.`)
    Object.assign(env, {
      allowRemoteModels: false,
      allowLocalModels: true,
      localModelPath: root,
      useBrowserCache: usesCache,
    })
    loaded = {
      tokenizer: await AutoTokenizer.from_pretrained(name),
      model: await AutoModelForCausalLM.from_pretrained(name, { device, dtype }),
    }
  },
  async answer({ prompt, maxTokens, jsonSchema }, onToken) {
    if (!loaded) throw new Error('No model is loaded.')
    const { tokenizer, model } = loaded
    let text = ''
    const streamer = new TextStreamer(tokenizer, {
      skip_prompt: true,
      callback_function: (part) => (text += part),
      token_callback_function: onToken,
    })
    const inputs = tokenizer(prompt)
    // No end-of-sequence token: in no-op mode all tokens are garbage, and one could end the text early.
    await model.generate({
      ...inputs,
      max_new_tokens: maxTokens,
      do_sample: false,
      ...(jsonSchema
        ? {
            logits_processor: new StructuredOutputProcessor(tokenizer, {
              type: 'json_schema',
              json_schema: jsonSchema,
            }),
          }
        : { eos_token_id: -1 }),
      streamer,
    })
    return { promptTokens: inputs.input_ids.dims[1], text }
  },
  async unload() {
    await loaded?.model.dispose()
    loaded = undefined
  },
})

startProbe()
