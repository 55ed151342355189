// The library's own worker, behind a probe.
import { startProbe } from './probe.js'
import 'rivulet/onnx.worker'

startProbe()
