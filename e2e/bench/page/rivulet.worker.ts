// The library's worker, with a probe.
import { startProbe } from './probe.js'
import 'rivulet/onnx-xgrammar.worker'

startProbe()
