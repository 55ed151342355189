// The library alone: what other packages of the bare page try under a policy is not its doing (zod tries `Function`).
import * as rivulet from 'rivulet'
import { llamaCpp } from 'rivulet/llama-cpp'
import { onnx } from 'rivulet/onnx'

Object.assign(window, { rivulet: { ...rivulet, llamaCpp, onnx } })
