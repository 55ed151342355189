import { render } from 'preact'
import { installTheme } from '../app/theme.js'
import { openRunHistory } from '../figures/run-history.js'
import { createBrokenDownload } from './broken-download.js'
import { createFaultStream } from './fault-stream.js'
import { Lab } from './lab.js'
import { createLane } from './lane.js'
import '../style.css'
import '../panels.css'
import '../figures/figures.css'
import '../figures/runs.css'
import './lab.css'

render(
  <Lab
    theme={installTheme()}
    left={createLane('Left', { backend: 'onnx-wasm' })}
    right={createLane('Right', { backend: 'llama-cpp' })}
    faults={createFaultStream()}
    download={createBrokenDownload()}
    history={openRunHistory()}
  />,
  document.getElementById('lab')!,
)
