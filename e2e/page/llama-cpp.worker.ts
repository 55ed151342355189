// The library's own worker, in a file of the tests, so that they can terminate it, or take features away from it.
import './remove-features.js'
import 'rivulet/llama-cpp.worker'
