import { Mark } from '../app/icons.js'
import { ThemeToggle } from '../app/theme-toggle.js'
import type { ThemeChoice } from '../app/theme.js'
import type { RunHistory } from '../figures/run-history.js'
import { BenchSection } from './bench-section.js'
import type { BrokenDownload } from './broken-download.js'
import { DownloadSection } from './download-section.js'
import { FaultSection } from './fault-section.js'
import type { FaultStream } from './fault-stream.js'
import type { Lane } from './lane.js'
import { RaceSection } from './race-section.js'

interface LabProps {
  readonly theme: ThemeChoice
  readonly left: Lane
  readonly right: Lane
  readonly faults: FaultStream
  readonly download: BrokenDownload
  readonly history: RunHistory
}

export function Lab({ theme, left, right, faults, download, history }: LabProps) {
  return (
    <>
      <header class="masthead">
        <h1 class="wordmark">
          <Mark />
          <span>rivulet: the lab</span>
        </h1>
        <div class="actions">
          <a class="quiet-link" href="./">
            Back to the chat
          </a>
          <ThemeToggle theme={theme} />
        </div>
      </header>
      <main class="lab-main">
        <p class="lab-intro">
          Try the library’s guarantees: race two configurations side by side, inject faults and watch the
          streams recover. Everything runs in this tab.
        </p>
        <RaceSection left={left} right={right} history={history} />
        <FaultSection faults={faults} />
        <DownloadSection download={download} />
        <BenchSection />
      </main>
    </>
  )
}
