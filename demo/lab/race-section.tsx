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
  | { readonly kind: 'over'; readonly left: Run; readonly right: Run }

interface RaceSectionProps {
  readonly left: Lane
  readonly right: Lane
  readonly history: RunHistory
}

/** The same prompt on two engines, side by side. */
export function RaceSection({ left, right, history }: RaceSectionProps) {
  const prompt = useSignal('Tell me a story about a dragon.')
  const isInTurns = useSignal(false)
  const race = useSignal<RaceState>({ kind: 'idle' })
  const isRunning = race.value.kind === 'running'

  async function start(): Promise<void> {
    race.value = { kind: 'running' }
    // One after the other: what both of them load is then fetched once.
    const areLoaded = (await left.load()) && (await right.load())
    race.value = areLoaded ? await runRace() : { kind: 'idle' }
  }

  async function runRace(): Promise<RaceState> {
    const first = left.stream(prompt.value)
    if (isInTurns.value) await first
    const [leftRun, rightRun] = await Promise.all([first, right.stream(prompt.value)])
    for (const run of [leftRun, rightRun]) await history.add(run)
    return { kind: 'over', left: leftRun, right: rightRun }
  }

  return (
    <section class="lab-section" aria-labelledby="race-title">
      <h2 id="race-title">Race</h2>
      <p>
        The same prompt on two backends or with two settings. Both models are loaded first, which the figures
        leave out. Side by side they share this device; in turns each has it alone.
      </p>
      <StreamForm
        prompt={prompt}
        begin="Race"
        canBegin={!isRunning}
        canStop={isRunning}
        onBegin={() => void start()}
        onStop={() => [left, right].forEach((lane) => lane.stop())}
      >
        <label class="check">
          <input
            type="checkbox"
            checked={isInTurns.value}
            onChange={({ currentTarget }) => (isInTurns.value = currentTarget.checked)}
          />
          In turns
        </label>
      </StreamForm>
      <div class="lanes">
        <LaneView lane={left} isLocked={isRunning} />
        <LaneView lane={right} isLocked={isRunning} />
      </div>
      <div class="verdict" role="status" data-testid="race-verdict">
        {race.value.kind === 'over' &&
          judgeRace(race.value.left, race.value.right).map((sentence) => <p key={sentence}>{sentence}</p>)}
      </div>
      {race.value.kind === 'over' && <RunComparison first={race.value.left} second={race.value.right} />}
    </section>
  )
}

function LaneView({ lane, isLocked }: { readonly lane: Lane; readonly isLocked: boolean }) {
  const state = lane.state.value
  return (
    <section class="lane-view" aria-label={lane.name} data-state={state.kind}>
      <h3>{lane.name}</h3>
      <SettingsForm
        legend={`Settings, ${lane.name.toLowerCase()}`}
        settings={lane.settings.value}
        isLocked={isLocked}
        onChange={(settings) => (lane.settings.value = settings)}
      />
      <p class="lane-state">{describeState(state)}</p>
      <p class="lane-text" data-testid="lane-text">
        {lane.text}
      </p>
      <LaneFigures lane={lane} />
      {state.kind === 'done' && <Waterfall run={state.run} />}
    </section>
  )
}

/** By itself: it is drawn anew with every frame. */
function LaneFigures({ lane: { live } }: { readonly lane: Lane }) {
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
    return { idle: 'Not loaded yet', ready: 'Loaded', streaming: 'Streaming' }[state.kind]
  const { model, outcome } = state.run
  const ending = outcome.kind === 'failed' ? `failed: ${outcome.code}` : outcome.finishReason
  return `${model.backend}, ${model.deviceDescription}: ${ending}`
}
