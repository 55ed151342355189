import 'rivulet/llama-cpp.worker'
import { acceptFaults } from './accept-faults.js'

acceptFaults()
