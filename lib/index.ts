export { createEngine } from './engine.js'
export type { Engine, PrefillResult } from './engine.js'
export type { EngineOptions, SharedHost } from './engine-options.js'
export type { TokenIterator, TokenStream } from './token-stream.js'
export type { GenerationResult } from './generation.js'
export type { Usage } from './generation-tally.js'
export type {
  EngineObserver,
  GenerationEnd,
  GenerationOutcome,
  GenerationStart,
  ObservedChunk,
  ObservedPrefill,
  ObservedShare,
} from './observer.js'
export type { GenerationPart, RouteReason } from './transcript.js'
export type { Router } from './router.js'
export type { SkippedBackend } from './start-worker.js'
export { availability } from './availability.js'
export type { Availability } from './availability.js'
export { RivuletError } from './contract/errors.js'
export type {
  ErrorCode,
  ErrorDetails,
  ErrorDetailsByCode,
  RivuletErrorConstructor,
  RivuletErrorOf,
  RivuletErrorOptions,
} from './contract/errors.js'
export type { DownloadOptions } from './download-options.js'
export { store } from './store.js'
export type { EvictOptions, StoredFiles, StoredModel, StoredRuntime } from './store.js'
export type { PartialValue, PartialValueOf, ValueOf } from './answer-value.js'
export type {
  AnswerOptions,
  AssistantMessage,
  ChatMessage,
  GenerateOptions,
  InstructionMessage,
  JsonSchema,
  MessageContent,
  MessageToolCall,
  PrefillOptions,
  Prompt,
  PromptOptions,
  Reasoning,
  RequestFormat,
  RequestOptions,
  RequestTool,
  ResponseFormat,
  Role,
  SamplingOptions,
  TextPart,
  Tool,
  ToolChoice,
  ToolMessage,
} from './contract/request.js'
export type { OptionName } from './contract/option-table.js'
export type {
  AnswerEnd,
  Channel,
  Execution,
  FileProgress,
  FinishReason,
  LoadProgress,
  ModelInfo,
  ModelSupport,
  ModelTimings,
  TokenChunk,
  TokenLogprob,
  TokenLogprobs,
  ToolCall,
  ToolCallDelta,
} from './contract/worker-api.js'
export type { ModelSource } from './locate-model.js'
export type { Latency, Percentiles } from './latency.js'
export type { BackendAvailability, BackendFactory, BackendModel } from './backend-factory.js'
export type { Devices, GpuAdapterFacts, WasmFacts } from './contract/devices.js'
