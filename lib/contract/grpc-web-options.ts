/** The options of `grpcWeb()`, as they are passed to the worker. The tokenizer's folder is the request's model. */
export interface GrpcWebLoadOptions {
  /** Undefined for the template in the tokenizer's folder. */
  readonly chatTemplate: string | undefined
  /** Undefined without a deadline. */
  readonly timeoutMs: number | undefined
  readonly resume: boolean
}
