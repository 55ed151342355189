import type { RunHistory } from '../figures/run-history.js'
import { BenchSection } from './bench-section.js'
import type { BrokenDownload } from './broken-download.js'
import { DownloadSection } from './download-section.js'
import { FaultSection } from './fault-section.js'
import type { FaultStream } from './fault-stream.js'
import type { Lane } from './lane.js'
import { RaceSection } from './race-section.js'

interface LabProps {
  readonly left: Lane
  readonly right: Lane
  readonly faults: FaultStream
  readonly download: BrokenDownload
  readonly history: RunHistory
}

export function Lab({ left, right, faults, download, history }: LabProps) {
  return (
    <>
      <header class="masthead">
        <h1 class="wordmark">rivulet: the lab</h1>
        <nav class="actions" aria-label="Pages">
          <a class="quiet-link" href="./">
            Back to the chat
          </a>
        </nav>
      </header>
      <main class="lab-main">
        <p class="lab-intro">
          Every promise of the library, to be tried: streams that race, break and go on. All of it runs in
          this tab.
        </p>
        <RaceSection left={left} right={right} history={history} />
        <FaultSection faults={faults} />
        <DownloadSection download={download} />
        <BenchSection />
      </main>
    </>
  )
}
