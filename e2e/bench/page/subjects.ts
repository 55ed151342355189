import { createEngine, type Engine, type EngineOptions, type LoadProgress } from 'rivulet'
import { onnx } from 'rivulet/onnx'
import { askEngine } from './ask-engine.js'
import { connectLoop } from './loop-worker.js'
import { nameWorker, requestCounts, type Counts } from './probe-channel.js'
import { measureTimes, type Setup, type Subject } from './subject.js'

/** How `openEngine` opens rivulet. */
interface EngineSetup extends Setup {
  readonly maxConcurrentGenerations?: number
  readonly host?: EngineOptions['host']
}

/** An engine in the benchmark's worker. */
export interface OpenEngine {
  readonly engine: Engine
  readCounts(): Promise<Counts>
}

/** Opens rivulet with the benchmark's worker. */
export async function openEngine(
  { model, device, maxConcurrentGenerations, host, mode }: EngineSetup,
  onProgress: (progress: LoadProgress) => void = () => {},
): Promise<OpenEngine> {
  const name = nameWorker({ device, mode })
  const engine = await createEngine({
    backend: onnx({
      device,
      dtype: model.dtype,
      maxConcurrentGenerations,
      worker: () => new Worker(new URL('./rivulet.worker.ts', import.meta.url), { type: 'module', name }),
    }),
    model: model.url,
    host,
    onProgress,
  })
  return { engine, readCounts: () => requestCounts(name) }
}

/** rivulet through its public API. Times are taken where the page reads the stream. */
export async function openRivulet(
  setup: Setup,
  onProgress?: (progress: LoadProgress) => void,
): Promise<Subject> {
  const { engine, readCounts } = await openEngine(setup, onProgress)
  return {
    name: 'rivulet',
    answer: (turn) => askEngine(engine, turn),
    readCounts,
    close: () => engine.dispose(),
  }
}

/** rivulet's backend without the rest of the stack. Times are taken in the worker. */
export function openBare(setup: Setup): Promise<LoopSubject> {
  const createWorker = (name: string) =>
    new Worker(new URL('./bare.worker.ts', import.meta.url), { type: 'module', name })
  return openLoop('loop in the worker', createWorker, setup)
}

/** transformers.js in a worker. It posts each token to the page, where the times are taken as for rivulet. */
export function openTransformers(setup: Setup): Promise<LoopSubject> {
  const createWorker = (name: string) =>
    new Worker(new URL('./transformers.worker.ts', import.meta.url), { type: 'module', name })
  return openLoop('transformers.js', createWorker, setup)
}

/** A subject whose model can be loaded again in the same worker. */
export interface LoopSubject extends Subject {
  load(): Promise<void>
  unload(): Promise<void>
}

async function openLoop(
  name: string,
  createWorker: (name: string) => Worker,
  setup: Setup,
): Promise<LoopSubject> {
  const workerName = nameWorker(setup)
  const worker = createWorker(workerName)
  const loop = await connectLoop(worker)
  await loop.load(setup)
  return {
    name,
    load: () => loop.load(setup),
    unload: () => loop.unload(),
    async answer(turn) {
      const tokenTimesMs: number[] = []
      const startMs = performance.now()
      const { times, ...answer } = await loop.answer(turn, () => tokenTimesMs.push(performance.now()))
      return { ...answer, ...measureTimes(times?.startMs ?? startMs, times?.tokenTimesMs ?? tokenTimesMs) }
    },
    readCounts: () => requestCounts(workerName),
    async close() {
      worker.terminate()
    },
  }
}
