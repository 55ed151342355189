import 'rivulet/onnx.worker'
import { beBreakable } from './be-breakable.js'

beBreakable()
