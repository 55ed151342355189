import { useSignal } from '@preact/signals'
import { GapStrip } from '../figures/gap-strip.js'
import { Readouts } from '../figures/readouts.js'
import { paces, type FaultState, type FaultStream, type PaceName } from './fault-stream.js'
import { LabReadouts } from './lab-readouts.js'
import { NumberField, RunsOn } from './settings-form.js'
import { StreamForm } from './stream-form.js'

/** Buttons that break what computes an answer, and the answer going on. */
export function FaultSection({ faults }: { readonly faults: FaultStream }) {
  const prompt = useSignal('Tell me a story about a dragon.')
  const state = faults.state.value
  const isStreaming = state.kind === 'streaming'
  const isBusy = isStreaming || state.kind === 'loading' || state.kind === 'rehearsing'
  return (
    <section class="lab-section" aria-labelledby="faults-title" data-state={state.kind} data-testid="faults">
      <h2 id="faults-title">Faults</h2>
      <p>
        A greedy answer is streamed twice: first in peace, out of sight, then here, where you break things.
        The two texts have to be the same.
      </p>
      <StreamForm
        prompt={prompt}
        begin="Stream"
        canBegin={!isBusy}
        canStop={isStreaming}
        onBegin={() => void faults.start(prompt.value)}
        onStop={faults.stop}
      >
        <RunsOn
          settings={{ runsOn: faults.runsOn.value }}
          onChange={({ runsOn }) => (faults.runsOn.value = runsOn)}
        />
        <NumberField
          value={faults.maxTokens.value}
          min={1}
          step={1}
          onChange={(maxTokens) => (faults.maxTokens.value = maxTokens)}
        >
          Most tokens
        </NumberField>
        <PaceField faults={faults} />
      </StreamForm>
      <div class="fault-buttons" role="group" aria-label="Faults">
        <button type="button" class="quiet" disabled={!isStreaming} onClick={faults.killWorker}>
          Kill the worker
        </button>
        <button
          type="button"
          class="quiet"
          disabled={!faults.canLoseDevice.value}
          onClick={faults.loseDevice}
        >
          Lose the GPU
        </button>
        <button
          type="button"
          class="quiet"
          disabled={!isStreaming}
          onClick={() => faults.setPace('Slow reader: one a second')}
        >
          Read slowly
        </button>
        <button type="button" class="quiet" disabled={!isStreaming} onClick={faults.hideTab}>
          Hide this tab
        </button>
      </div>
      <ul class="lab-notes">
        <li>The worker is ended from the page, behind the library’s back: to the library this is a crash.</li>
        <li>
          A page cannot crash the GPU. On WebGPU the worker destroys its GPU device instead, which is what it
          sees of a lost GPU.
        </li>
        <li>
          A page cannot hide itself either: an empty tab opens over it and closes after five seconds. While
          hidden it reads as fast as chunks come, since timers of hidden tabs are slowed.
        </li>
      </ul>
      <p class="lane-state">{describeState(state)}</p>
      <p class="lane-text" data-testid="fault-text">
        {faults.text}
      </p>
      <WireFigures faults={faults} />
      <FaultFigures faults={faults} />
      <ol class="fault-events" aria-live="polite" aria-label="What befell it">
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

function PaceField({ faults }: { readonly faults: FaultStream }) {
  return (
    <label>
      Reading
      <select
        value={faults.pace.value}
        onChange={({ currentTarget }) => faults.setPace(currentTarget.value as PaceName)}
      >
        {Object.keys(paces).map((name) => (
          <option key={name}>{name}</option>
        ))}
      </select>
    </label>
  )
}

function WireFigures({ faults: { wire } }: { readonly faults: FaultStream }) {
  const { read, sent, credits, ahead, mostAhead } = wire.value
  const readouts = [
    { label: 'Read', testId: 'wire-read', value: read, title: 'Chunks that this page has taken.' },
    {
      label: 'Sent',
      testId: 'wire-sent',
      value: sent,
      title: 'Chunks that the worker has computed and sent.',
    },
    {
      label: 'Ahead',
      testId: 'wire-ahead',
      value: ahead,
      title: 'Sent and not read; the library allows two.',
    },
    {
      label: 'Most ahead',
      testId: 'wire-most',
      value: mostAhead,
      title: 'The most that were ever sent and not read.',
    },
    {
      label: 'Credits',
      testId: 'wire-credits',
      value: credits,
      title: 'Messages that the page has allowed: two at first, one more for each it takes.',
    },
  ]
  return <LabReadouts readouts={readouts} />
}

/** By itself: it is drawn anew with every frame. */
function FaultFigures({ faults: { live } }: { readonly faults: FaultStream }) {
  return (
    <>
      <Readouts figures={live.value?.figures} />
      <GapStrip gapsMs={live.value?.gapsMs ?? []} />
    </>
  )
}

function Verdict({ run, isWhole, undisturbed }: Extract<FaultState, { readonly kind: 'done' }>) {
  const { recoveries = 0, tokens } = run.figures
  const times = recoveries === 1 ? 'once' : `${recoveries} times`
  const losses = recoveries === 0 ? 'nothing was lost' : `what computed it was lost ${times}`
  if (isWhole) {
    return (
      <p>
        The text is whole: {tokens} tokens, and {losses}. It is the undisturbed answer to the letter.
      </p>
    )
  }
  if (run.outcome.kind === 'finished' && run.outcome.finishReason === 'cancelled') return <p>Stopped.</p>
  return <p>The text differs from the undisturbed answer, which was: {undisturbed}</p>
}

function describeState(state: FaultState): string {
  if (state.kind === 'failed') return state.message
  return {
    idle: 'Nothing streams yet',
    loading: 'Loading the model',
    rehearsing: 'First, undisturbed',
    streaming: 'Streaming: break it',
    done: 'Over',
  }[state.kind]
}
