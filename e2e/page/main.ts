// The bare page: hands the library, as an app imports it, to the tests' `page.evaluate`.
import * as rivulet from 'rivulet'
import { onnx } from 'rivulet/onnx'

const library = { ...rivulet, onnx }

declare global {
  interface Window {
    rivulet: typeof library
  }
}

window.rivulet = library
