/// <reference types="vite/client" />

/** What is used of transformers.js: `peer.ts` puts it where only the bench's own build finds it. */
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
