/// <reference types="vite/client" />

/** The used part of transformers.js. `peer.ts` installs it where only the benchmark's build finds it. */
declare module '@huggingface/transformers' {
  export const env: object

  export interface AutoTokenizer {
    (text: string): { readonly input_ids: { readonly dims: readonly [number, number] } }
  }
  export const AutoTokenizer: { from_pretrained(name: string): Promise<AutoTokenizer> }

  export interface AutoModelForCausalLM {
    generate(options: object): Promise<unknown>
    dispose(): Promise<unknown>
  }
  export const AutoModelForCausalLM: {
    from_pretrained(
      name: string,
      options: { readonly device: 'webgpu' | 'wasm'; readonly dtype: string },
    ): Promise<AutoModelForCausalLM>
  }

  export const TextStreamer: new (
    tokenizer: AutoTokenizer,
    options: {
      readonly skip_prompt: boolean
      readonly callback_function: (text: string) => void
      readonly token_callback_function: () => void
    },
  ) => object
}

declare module '@huggingface/transformers-structured-output' {
  export const StructuredOutputProcessor: new (
    tokenizer: object,
    constraint: { readonly type: 'json_schema'; readonly json_schema: object },
  ) => object
}

declare module '@wllama/wllama/esm/index.min.js' {
  export class Wllama {
    constructor(paths: { readonly default: string }, options: { readonly logger: object })
    loadModel(files: readonly Blob[], parameters: object): Promise<void>
    createCompletion<Chunk>(options: {
      readonly prompt: string
      readonly max_tokens: number
      readonly temperature: number
      readonly stream: true
      readonly onData: (chunk: Chunk) => void
    }): Promise<void>
    exit(): Promise<void>
  }
}

declare module '*?url' {
  const url: string
  // oxlint-disable-next-line import/no-default-export -- Vite defines it this way
  export default url
}
