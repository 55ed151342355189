// The library's own worker, under a name that the tests can end.
import 'rivulet/llama-cpp.worker'
