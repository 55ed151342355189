// Only the library: other packages of the bare page may violate a policy themselves (zod tries `Function`).
import * as rivulet from 'rivulet'
import { llamaCpp } from 'rivulet/llama-cpp'
import { onnx } from 'rivulet/onnx'

Object.assign(window, { rivulet: { ...rivulet, llamaCpp, onnx } })
