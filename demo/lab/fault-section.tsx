import { useSignal } from '@preact/signals'
import { GapStrip } from '../figures/gap-strip.js'
import { Readouts } from '../figures/readouts.js'
import { paces, type FaultState, type FaultStream, type PaceName } from './fault-stream.js'
import { RunsOn } from './settings-form.js'

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
      <form
        class="race-form"
        onSubmit={(event) => {
          event.preventDefault()
          void faults.start(prompt.value)
        }}
      >
        <label class="wide">
          Prompt
          <input
            type="text"
            required
            value={prompt.value}
            onInput={({ currentTarget }) => (prompt.value = currentTarget.value)}
          />
        </label>
        <RunsOn
          settings={{ runsOn: faults.runsOn.value }}
          onChange={({ runsOn }) => (faults.runsOn.value = runsOn)}
        />
        <PaceField faults={faults} />
        <button type="submit" class="primary" disabled={isBusy}>
          Stream
        </button>
        <button type="button" class="quiet" disabled={!isStreaming} onClick={faults.stop}>
          Stop
        </button>
      </form>
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
  const figures = [
    ['Read', 'wire-read', read, 'Chunks that this page has taken.'],
    ['Sent', 'wire-sent', sent, 'Chunks that the worker has computed and sent.'],
    ['Ahead', 'wire-ahead', ahead, 'Sent and not read; the library allows two.'],
    ['Most ahead', 'wire-most', mostAhead, 'The most that were ever sent and not read.'],
    [
      'Credits',
      'wire-credits',
      credits,
      'Messages that the page has allowed: two at first, one more for each it takes.',
    ],
  ] as const
  return (
    <dl class="readouts wire">
      {figures.map(([label, testId, value, title]) => (
        <div key={testId} class="readout" title={title}>
          <dt>{label}</dt>
          <dd data-testid={testId}>{value}</dd>
        </div>
      ))}
    </dl>
  )
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
