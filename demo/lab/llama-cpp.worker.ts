import 'rivulet/llama-cpp.worker'
import { beBreakable } from './be-breakable.js'

beBreakable()
