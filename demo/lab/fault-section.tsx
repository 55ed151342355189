import { useSignal } from '@preact/signals'
import { formatMs } from '../figure-format.js'
import { GapStrip } from '../figures/gap-strip.js'
import { Readouts } from '../figures/readouts.js'
import { readingSpeeds, type FaultState, type FaultStream, type ReadingSpeed } from './fault-stream.js'
import { LabReadouts } from './lab-readouts.js'
import { NumberField, BackendField } from './settings-form.js'
import { StreamForm } from './stream-form.js'

/** Buttons that inject faults during a generation, and the recovering stream. */
export function FaultSection({ faults }: { readonly faults: FaultStream }) {
  const prompt = useSignal('Tell me a story about a dragon.')
  const state = faults.state.value
  const isStreaming = state.kind === 'streaming'
  const isBusy = isStreaming || state.kind === 'loading' || state.kind === 'generating-reference'
  return (
    <section class="lab-section" aria-labelledby="faults-title" data-state={state.kind} data-testid="faults">
      <h2 id="faults-title">Fault injection</h2>
      <p>
        The lab generates the same greedy answer twice: first a hidden reference without faults, then a
        visible one into which you inject faults. Both texts must be identical.
      </p>
      <StreamForm
        prompt={prompt}
        startLabel="Start"
        canStart={!isBusy}
        canStop={isStreaming}
        onStart={() => void faults.start(prompt.value)}
        onStop={faults.stop}
      >
        <BackendField
          settings={{ backend: faults.backend.value }}
          onChange={({ backend }) => (faults.backend.value = backend)}
        />
        <NumberField
          value={faults.maxTokens.value}
          min={1}
          step={1}
          onChange={(maxTokens) => (faults.maxTokens.value = maxTokens)}
        >
          Max tokens
        </NumberField>
        <ReadingSpeedField faults={faults} />
      </StreamForm>
      <div class="fault-buttons" role="group" aria-label="Faults">
        <button type="button" class="quiet" disabled={!isStreaming} onClick={faults.terminateWorker}>
          Terminate worker
        </button>
        <button
          type="button"
          class="quiet"
          disabled={!faults.canLoseDevice.value}
          onClick={faults.loseDevice}
        >
          Lose GPU
        </button>
        <button
          type="button"
          class="quiet"
          disabled={!isStreaming}
          onClick={() => faults.setReadingSpeed('Slow: 1 token/s')}
        >
          Slow reader
        </button>
        <button type="button" class="quiet" disabled={!isStreaming} onClick={faults.hideTab}>
          Hide tab
        </button>
      </div>
      <ul class="lab-notes">
        <li>
          Terminate worker: the page terminates the worker without notifying the library. To the library, the
          worker has crashed.
        </li>
        <li>
          Lose GPU (WebGPU only): a page cannot crash the GPU, so the worker destroys its GPU device. To the
          library, the GPU is lost.
        </li>
        <li>Slow reader: reads one token per second. The worker generates at most two chunks ahead.</li>
        <li>
          Hide tab: opens an empty tab and closes it after five seconds. While this tab is hidden, it reads at
          full speed, because browsers throttle timers in hidden tabs.
        </li>
      </ul>
      <p class="lane-state">{describeState(state)}</p>
      <p class="lane-text" data-testid="fault-text">
        {faults.text}
      </p>
      <ReaderReadouts faults={faults} />
      <RunReadouts faults={faults} />
      <ol class="fault-events" aria-live="polite" aria-label="Events">
        {faults.events.value.map((event) => (
          <li key={event}>{event}</li>
        ))}
      </ol>
      <div class="verdict" role="status" data-testid="fault-verdict">
        {state.kind === 'done' && <Verdict {...state} />}
      </div>
    </section>
  )
}

function ReadingSpeedField({ faults }: { readonly faults: FaultStream }) {
  return (
    <label>
      Reading speed
      <select
        value={faults.readingSpeed.value}
        onChange={({ currentTarget }) => faults.setReadingSpeed(currentTarget.value as ReadingSpeed)}
      >
        {Object.keys(readingSpeeds).map((name) => (
          <option key={name}>{name}</option>
        ))}
      </select>
    </label>
  )
}

function ReaderReadouts({ faults: { reader } }: { readonly faults: FaultStream }) {
  const { readChunks, unreadChunks, waitMs } = reader.value
  const wait = formatMs(waitMs)
  const readouts = [
    {
      label: 'Chunks read',
      testId: 'chunks-read',
      value: readChunks,
      title: 'Chunks that this page has read.',
    },
    {
      label: 'Unread',
      testId: 'chunks-unread',
      value: unreadChunks,
      title: 'Chunks that had arrived but were not read yet when the page read the latest one.',
    },
    {
      label: 'Wait',
      testId: 'chunk-wait',
      value: readChunks === 0 ? '–' : `${wait.value} ${wait.unit}`,
      title: 'How long the latest chunk had waited on the page before it was read.',
    },
  ]
  return <LabReadouts readouts={readouts} />
}

/** A separate component, because it renders again on each frame. */
function RunReadouts({ faults: { live } }: { readonly faults: FaultStream }) {
  return (
    <>
      <Readouts figures={live.value?.figures} />
      <GapStrip gapsMs={live.value?.gapsMs ?? []} />
    </>
  )
}

function Verdict({ run, isIdentical, referenceText }: Extract<FaultState, { readonly kind: 'done' }>) {
  const { recoveries = 0, tokens } = run.figures
  const recoveryCount = recoveries === 1 ? '1 recovery' : `${recoveries || 'no'} recoveries`
  if (isIdentical) {
    return (
      <p>
        The text is identical to the reference: {tokens} tokens, {recoveryCount}.
      </p>
    )
  }
  if (run.outcome.kind === 'finished' && run.outcome.finishReason === 'cancelled') return <p>Stopped.</p>
  return <p>The text differs from the reference, which is: {referenceText}</p>
}

function describeState(state: FaultState): string {
  if (state.kind === 'failed') return state.message
  return {
    idle: 'Not started',
    loading: 'Loading the model',
    'generating-reference': 'Generating the reference without faults',
    streaming: 'Streaming: inject faults now',
    done: 'Finished',
  }[state.kind]
}
