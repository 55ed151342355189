import { useSignal } from '@preact/signals'
import { GapStrip } from '../figures/gap-strip.js'
import { Readouts } from '../figures/readouts.js'
import { RunComparison } from '../figures/run-comparison.js'
import type { RunHistory } from '../figures/run-history.js'
import type { Run } from '../figures/run.js'
import { Waterfall } from '../figures/waterfall.js'
import { judgeRace } from './judge-race.js'
import type { Lane, LaneState } from './lane.js'
import { SettingsForm } from './settings-form.js'
import { StreamForm } from './stream-form.js'

type RaceState =
  | { readonly kind: 'idle' }
  | { readonly kind: 'running' }
  | { readonly kind: 'finished'; readonly left: Run; readonly right: Run }

interface RaceSectionProps {
  readonly left: Lane
  readonly right: Lane
  readonly history: RunHistory
}

/** Runs the same prompt on two engines, side by side. */
export function RaceSection({ left, right, history }: RaceSectionProps) {
  const prompt = useSignal('Tell me a story about a dragon.')
  const isSequential = useSignal(false)
  const race = useSignal<RaceState>({ kind: 'idle' })
  const isRunning = race.value.kind === 'running'

  async function start(): Promise<void> {
    race.value = { kind: 'running' }
    // One after the other, so that files that both need are downloaded once.
    const hasLoaded = (await left.load()) && (await right.load())
    race.value = hasLoaded ? await runRace() : { kind: 'idle' }
  }

  async function runRace(): Promise<RaceState> {
    const first = left.stream(prompt.value)
    if (isSequential.value) await first
    const [leftRun, rightRun] = await Promise.all([first, right.stream(prompt.value)])
    for (const run of [leftRun, rightRun]) if (run) await history.add(run)
    if (!leftRun || !rightRun) return { kind: 'idle' }
    return { kind: 'finished', left: leftRun, right: rightRun }
  }

  return (
    <section class="lab-section" aria-labelledby="race-title">
      <h2 id="race-title">Race</h2>
      <p>
        Runs the same prompt with two configurations. Both models are loaded before the race, so loading time
        is not included. By default, both run at the same time and share this device.
      </p>
      <StreamForm
        prompt={prompt}
        startLabel="Start race"
        canStart={!isRunning}
        canStop={isRunning}
        onStart={() => void start()}
        onStop={() => [left, right].forEach((lane) => lane.stop())}
      >
        <label class="check">
          <input
            type="checkbox"
            checked={isSequential.value}
            onChange={({ currentTarget }) => (isSequential.value = currentTarget.checked)}
          />
          Run one after the other
        </label>
      </StreamForm>
      <div class="lanes">
        <LaneView lane={left} isLocked={isRunning} />
        <LaneView lane={right} isLocked={isRunning} />
      </div>
      <div class="verdict" role="status" data-testid="race-verdict">
        {race.value.kind === 'finished' &&
          judgeRace(race.value.left, race.value.right).map((sentence) => <p key={sentence}>{sentence}</p>)}
      </div>
      {race.value.kind === 'finished' && <RunComparison first={race.value.left} second={race.value.right} />}
    </section>
  )
}

function LaneView({ lane, isLocked }: { readonly lane: Lane; readonly isLocked: boolean }) {
  const state = lane.state.value
  return (
    <section class="lane-view" aria-label={lane.name} data-state={state.kind}>
      <h3>{lane.name}</h3>
      <SettingsForm
        legend={`${lane.name} settings`}
        settings={lane.settings.value}
        isLocked={isLocked}
        onChange={(settings) => (lane.settings.value = settings)}
      />
      <p class="lane-state">{describeState(state)}</p>
      <p class="lane-text" data-testid="lane-text">
        {lane.text}
      </p>
      <LaneReadouts lane={lane} />
      {state.kind === 'done' && <Waterfall run={state.run} />}
    </section>
  )
}

/** A separate component, because it renders again on each frame. */
function LaneReadouts({ lane: { live } }: { readonly lane: Lane }) {
  return (
    <>
      <Readouts figures={live.value?.figures} isShort />
      <GapStrip gapsMs={live.value?.gapsMs ?? []} />
    </>
  )
}

function describeState(state: LaneState): string {
  if (state.kind === 'loading') return `Loading the model, ${Math.round(state.fraction * 100)} %`
  if (state.kind === 'failed') return state.message
  if (state.kind !== 'done')
    return { idle: 'No model loaded', ready: 'Loaded', streaming: 'Streaming' }[state.kind]
  const { model, outcome } = state.run
  const reason =
    outcome.kind === 'failed' ? `failed: ${outcome.code}` : `finish reason: ${outcome.finishReason}`
  return `${model.backend}, ${model.deviceDescription}; ${reason}`
}
