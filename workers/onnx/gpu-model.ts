import type { InferenceSession } from 'onnxruntime-web'
import type { LayerAttention } from './layer-attentions.js'
import type { PrefillRules } from './prefill-rules.js'
import type { ReferenceStep } from './reference-steps.js'
import type { RotaryTables } from './rotary-tables.js'
import type { OnnxRuntime } from './session.js'
import type { CacheInput, FixedState, StateSchema } from './state-schema.js'

/** The parameters of `createGpuDecoder`. */
export interface GpuModel {
  readonly runtime: OnnxRuntime
  readonly device: GPUDevice
  /** A session of a rewritten graph. Its graph capture is enabled if `canCapture` is true. */
  readonly session: InferenceSession
  readonly caches: readonly CacheInput[]
  readonly fixedStates: readonly FixedState[]
  readonly vocabulary: number
  readonly logitsType: 'float32' | 'float16'
  readonly contextLength: number
  /** The initial capacity of the KV cache, in tokens. It doubles when the cache is full. */
  readonly firstCapacity: number
  /** The budget for the KV caches of earlier conversations, in bytes. */
  readonly conversationCacheBytes: number
  readonly canCapture: boolean
  /** The layers whose attention may be fused in a replayed step. */
  readonly attentions: readonly LayerAttention[]
  readonly prefillRules: PrefillRules
  /** As the function of this name returns. */
  readonly needsPoolClears: boolean
  readonly positionRows: StateSchema['positionRows']
  readonly rotaryTables: readonly RotaryTables[]
  /** True if the graph computes a matrix of [heads, new tokens, total tokens]. Then a run has fewer tokens. */
  readonly hasScoreMatrix: boolean
  /** The largest number of conversations whose steps are computed together; more than 1 only if `isBatchable`. @default 1 */
  readonly maxRows?: number
  /** The steps that must equal those of the exported graph; undefined if they were checked at an earlier load. */
  readonly referenceSteps?: readonly ReferenceStep[]
  /** True if the self-test passed at an earlier load: then it is left out. @default false */
  readonly isTested?: boolean
  /** As `hashGraph` returns. */
  readonly graphHash?: string
}
