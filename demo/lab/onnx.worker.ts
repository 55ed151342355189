import 'rivulet/onnx.worker'
import { acceptFaults } from './accept-faults.js'

acceptFaults()
