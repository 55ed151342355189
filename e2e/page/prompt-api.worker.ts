// The library's own worker, in a file of the tests, so that they can terminate it.
import 'rivulet/prompt-api.worker'
