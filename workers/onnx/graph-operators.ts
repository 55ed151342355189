import type { AttributeProto, NodeProto } from './onnx_pb.js'
import { countElements, createTensorValue, createValue, UnknownValue, type Value } from './tensor-value.js'
import { tensorTypes } from './tensor-types.js'

type Inputs = readonly (Value | undefined)[]
export type Operator = (inputs: Inputs, node: NodeProto) => Value | readonly Value[] | undefined

function findAttribute({ attribute }: NodeProto, name: string): AttributeProto | undefined {
  return attribute.find((candidate) => candidate.name === name)
}

export function readInteger(node: NodeProto, name: string, fallback: number): number {
  const found = findAttribute(node, name)
  return found ? Number(found.i) : fallback
}

/** Reads integers that are an attribute in old opsets, and an input in new ones. */
function readIntegers(node: NodeProto, name: string, input: Value | undefined): number[] | undefined {
  const found = findAttribute(node, name)
  if (found) return found.ints.map(Number)
  return input && readElements(input)
}

function readElements(input: Value | undefined): number[] {
  const elements = input?.read()
  if (!elements) throw new UnknownValue()
  return Array.from(elements)
}

function require(input: Value | undefined): Value {
  if (!input) throw new UnknownValue()
  return input
}

function normalizeAxis(axis: number, rank: number): number {
  const normal = axis < 0 ? axis + rank : axis
  if (normal < 0 || normal >= rank) throw new UnknownValue()
  return normal
}

function countStrides(dims: readonly number[]): number[] {
  const strides = dims.map(() => 1)
  for (let axis = dims.length - 2; axis >= 0; axis -= 1) strides[axis] = strides[axis + 1]! * dims[axis + 1]!
  return strides
}

function broadcastDims(shapes: readonly (readonly number[])[]): number[] {
  const rank = Math.max(...shapes.map(({ length }) => length))
  return Array.from({ length: rank }, (_, axis) =>
    shapes.reduce((size, dims) => {
      const other = dims[axis - rank + dims.length] ?? 1
      if (size !== 1 && other !== 1 && size !== other) throw new UnknownValue()
      return size === 1 ? other : size
    }, 1),
  )
}

/**
 * Creates a tensor of elements that `source` has at other places.
 * @param strides for each dimension of the result, the distance of neighbours in `source`
 */
function rearrange(source: Value, dims: readonly number[], strides: readonly number[], offset = 0): Value {
  return createValue(source.type, dims, () => {
    const elements = source.read()
    if (!elements) return undefined
    const count = countElements(dims)
    const result = new Float64Array(count)
    const position = dims.map(() => 0)
    let from = offset
    for (let index = 0; index < count; index += 1) {
      result[index] = elements[from]!
      for (let axis = dims.length - 1; axis >= 0; axis -= 1) {
        from += strides[axis]!
        position[axis]! += 1
        if (position[axis]! < dims[axis]!) break
        from -= strides[axis]! * dims[axis]!
        position[axis] = 0
      }
    }
    return result
  })
}

function expand(source: Value, dims: readonly number[]): Value {
  const strides = countStrides(source.dims)
  const missing = dims.length - source.dims.length
  return rearrange(
    source,
    dims,
    dims.map((_, axis) => ((source.dims[axis - missing] ?? 1) === 1 ? 0 : strides[axis - missing]!)),
  )
}

function reshape(source: Value, dims: readonly number[]): Value {
  if (countElements(dims) !== countElements(source.dims)) throw new UnknownValue()
  return createValue(source.type, dims, source.read)
}

/** Computes each element from the elements at the same place in one to three tensors. */
function zip(
  type: number,
  inputs: readonly Value[],
  compute: (first: number, second: number, third: number) => number,
): Value {
  const dims = broadcastDims(inputs.map((input) => input.dims))
  const count = countElements(dims)
  return createValue(type, dims, () => {
    // Reads all tensors first, since a single unknown one makes the result unknown.
    if (inputs.some((input) => input.read() === undefined)) return undefined
    const [first, second = first, third = first] = inputs.map((input) =>
      countElements(input.dims) === count ? input.read()! : expand(input, dims).read()!,
    )
    const result = new Float64Array(count)
    for (let index = 0; index < count; index += 1)
      result[index] = compute(first![index]!, second![index]!, third![index]!)
    return result
  })
}

const integerTypes = new Set<number>([
  tensorTypes.uint8,
  tensorTypes.int8,
  tensorTypes.int32,
  tensorTypes.int64,
  tensorTypes.bool,
])

const unary = (compute: (element: number) => number, type?: number): Operator => {
  return ([input]) => zip(type ?? require(input).type, [require(input)], compute)
}

const binary = (compute: (first: number, second: number) => number, type?: number): Operator => {
  return ([first, second]) => zip(type ?? require(first).type, [require(first), require(second)], compute)
}

const compare = (compute: (first: number, second: number) => boolean): Operator =>
  binary((first, second) => Number(compute(first, second)), tensorTypes.bool)

/** The outputs have the shape and the type of the first input. Their elements are unknown. */
const keepShape: Operator = ([input], { output }) => {
  const { type, dims } = require(input)
  return output.map(() => createValue(type, dims))
}

const reduce: Operator = ([input, axesInput], node) => {
  const { type, dims } = require(input)
  const axes = readIntegers(node, 'axes', axesInput) ?? dims.map((_, axis) => axis)
  const reduced = new Set(axes.map((axis) => normalizeAxis(axis, dims.length)))
  const keeps = readInteger(node, 'keepdims', 1) === 1
  const result = dims.flatMap((size, axis) => (reduced.has(axis) ? (keeps ? [1] : []) : [size]))
  // The only sums of known elements are those of the attention mask.
  if (node.opType !== 'ReduceSum' || countElements(result) !== 1) return createValue(type, result)
  return createValue(type, result, () => {
    const elements = require(input).read()
    return elements && [Array.from(elements).reduce((sum, element) => sum + element, 0)]
  })
}

const gather: Operator = ([data, indices], node) => {
  const [source, places] = [require(data), require(indices)]
  const axis = normalizeAxis(readInteger(node, 'axis', 0), source.dims.length)
  const [before, after] = [source.dims.slice(0, axis), source.dims.slice(axis + 1)]
  const [size, inner] = [source.dims[axis]!, countElements(after)]
  return createValue(source.type, [...before, ...places.dims, ...after], () => {
    const [chosen, elements] = [places.read(), places.read() && source.read()]
    if (!chosen || !elements) return undefined
    const result: number[] = []
    for (let outer = 0; outer < countElements(before); outer += 1) {
      for (const place of Array.from(chosen)) {
        const start = (outer * size + (place < 0 ? place + size : place)) * inner
        for (let index = 0; index < inner; index += 1) result.push(elements[start + index]!)
      }
    }
    return result
  })
}

const concat: Operator = (inputs, node) => {
  const parts = inputs.map(require)
  const [first] = parts
  if (!first) return undefined
  const axis = normalizeAxis(readInteger(node, 'axis', 0), first.dims.length)
  const dims = first.dims.with(
    axis,
    parts.reduce((sum, part) => sum + (part.dims[axis] ?? 0), 0),
  )
  return createValue(first.type, dims, () => {
    const sources = parts.map((part) => part.read())
    if (sources.includes(undefined)) return undefined
    const inner = countElements(dims.slice(axis + 1))
    const result: number[] = []
    for (let outer = 0; outer < countElements(dims.slice(0, axis)); outer += 1) {
      for (const [index, source] of sources.entries()) {
        const length = parts[index]!.dims[axis]! * inner
        for (let place = 0; place < length; place += 1) result.push(source![outer * length + place]!)
      }
    }
    return result
  })
}

const slice: Operator = ([input, startsInput, endsInput, axesInput, stepsInput], node) => {
  const source = require(input)
  const starts = readIntegers(node, 'starts', startsInput) ?? readElements(undefined)
  const ends = readIntegers(node, 'ends', endsInput) ?? readElements(undefined)
  const axes = readIntegers(node, 'axes', axesInput) ?? starts.map((_, axis) => axis)
  const steps = stepsInput ? readElements(stepsInput) : starts.map(() => 1)
  const [dims, strides] = [[...source.dims], countStrides(source.dims)]
  let offset = 0
  for (const [index, axisOrNegative] of axes.entries()) {
    const axis = normalizeAxis(axisOrNegative, dims.length)
    const size = source.dims[axis]!
    if (steps[index] !== 1) throw new UnknownValue()
    const clamp = (place: number) => Math.min(Math.max(place < 0 ? place + size : place, 0), size)
    const start = clamp(starts[index]!)
    dims[axis] = Math.max(clamp(ends[index]!) - start, 0)
    offset += start * strides[axis]!
  }
  return rearrange(source, dims, strides, offset)
}

const split: Operator = ([input, sizesInput], node) => {
  const source = require(input)
  const axis = normalizeAxis(readInteger(node, 'axis', 0), source.dims.length)
  const count = node.output.length
  const equal = Array.from({ length: count }, () => source.dims[axis]! / count)
  const sizes = readIntegers(node, 'split', sizesInput) ?? equal
  const strides = countStrides(source.dims)
  let start = 0
  return sizes.map((size) => {
    const part = rearrange(source, source.dims.with(axis, size), strides, start * strides[axis]!)
    start += size
    return part
  })
}

const transpose: Operator = ([input], node) => {
  const source = require(input)
  const order =
    findAttribute(node, 'perm')?.ints.map(Number) ?? source.dims.map((_, axis) => axis).toReversed()
  const strides = countStrides(source.dims)
  return rearrange(
    source,
    order.map((axis) => source.dims[axis]!),
    order.map((axis) => strides[axis]!),
  )
}

const reshapeTo: Operator = ([input, target], node) => {
  const source = require(input)
  const keepsZeros = readInteger(node, 'allowzero', 0) === 1
  const wanted = readElements(target).map((size, axis) =>
    size === 0 && !keepsZeros ? (source.dims[axis] ?? 0) : size,
  )
  const known = countElements(wanted.filter((size) => size !== -1))
  return reshape(
    source,
    wanted.map((size) => (size === -1 ? countElements(source.dims) / known : size)),
  )
}

const unsqueeze: Operator = ([input, axesInput], node) => {
  const source = require(input)
  const axes = readIntegers(node, 'axes', axesInput) ?? readElements(undefined)
  const rank = source.dims.length + axes.length
  const added = new Set(axes.map((axis) => normalizeAxis(axis, rank)))
  const rest = [...source.dims]
  return reshape(
    source,
    Array.from({ length: rank }, (_, axis) => (added.has(axis) ? 1 : rest.shift()!)),
  )
}

const squeeze: Operator = ([input, axesInput], node) => {
  const source = require(input)
  const axes = readIntegers(node, 'axes', axesInput)?.map((axis) => normalizeAxis(axis, source.dims.length))
  return reshape(
    source,
    source.dims.filter((size, axis) => (axes ? !axes.includes(axis) : size !== 1)),
  )
}

const flatten: Operator = ([input], node) => {
  const source = require(input)
  const given = readInteger(node, 'axis', 1)
  const axis = given < 0 ? given + source.dims.length : given
  return reshape(source, [countElements(source.dims.slice(0, axis)), countElements(source.dims.slice(axis))])
}

const cast: Operator = ([input], node) => {
  const source = require(input)
  const type = readInteger(node, 'to', 0)
  const convert =
    type === tensorTypes.bool
      ? (element: number) => Number(element !== 0)
      : integerTypes.has(type)
        ? Math.trunc
        : (element: number) => element
  return zip(type, [source], convert)
}

const range: Operator = (inputs) => {
  const [start, limit, step] = inputs.map((input) => readElements(input)[0] ?? NaN)
  const length = Math.max(Math.ceil((limit! - start!) / step!), 0)
  return createValue(require(inputs[0]).type, [length], () =>
    Float64Array.from({ length }, (_, index) => start! + index * step!),
  )
}

const fill: Operator = ([sizes], node) => {
  const tensor = findAttribute(node, 'value')?.t
  const dims = readElements(sizes)
  const element = tensor ? createTensorValue(tensor).read()?.[0] : 0
  return createValue(tensor?.dataType ?? tensorTypes.float32, dims, () =>
    element === undefined ? undefined : new Float64Array(countElements(dims)).fill(element),
  )
}

const constant: Operator = (_, node) => {
  const tensor = findAttribute(node, 'value')?.t
  if (tensor) return createTensorValue(tensor)
  const [integer, float] = [findAttribute(node, 'value_int'), findAttribute(node, 'value_float')]
  if (integer) return createValue(tensorTypes.int64, [], () => [Number(integer.i)])
  if (float) return createValue(tensorTypes.float32, [], () => [float.f])
  const [integers, floats] = [findAttribute(node, 'value_ints'), findAttribute(node, 'value_floats')]
  if (integers) return createValue(tensorTypes.int64, [integers.ints.length], () => integers.ints.map(Number))
  if (floats) return createValue(tensorTypes.float32, [floats.floats.length], () => floats.floats)
  return undefined
}

const matMul: Operator = ([first, second], { opType }) => {
  const [{ type, dims: left }, { dims: right }] = [require(first), require(second)]
  if (left.length < 2 || right.length < 2 || left.at(-1) !== right.at(-2)) return undefined
  // An outer product, as of positions and rotary frequencies.
  if (opType === 'MatMul' && left.at(-1) === 1)
    return zip(type, [require(first), require(second)], (one, other) => one * other)
  const outer = broadcastDims([left.slice(0, -2), right.slice(0, -2)])
  const resultType = opType === 'MatMulInteger' ? tensorTypes.int32 : type
  return createValue(resultType, [...outer, left.at(-2)!, right.at(-1)!])
}

const matMulNBits: Operator = ([first], node) => {
  const { type, dims } = require(first)
  return createValue(type, [...dims.slice(0, -1), readInteger(node, 'N', 0)])
}

const gemm: Operator = ([first, second], node) => {
  const { type, dims: left } = require(first)
  const { dims: right } = require(second)
  const rows = left[readInteger(node, 'transA', 0) === 1 ? 1 : 0]
  const columns = right[readInteger(node, 'transB', 0) === 1 ? 0 : 1]
  return createValue(type, [rows ?? -1, columns ?? -1])
}

const quantizeActivations: Operator = ([input]) => {
  const { dims } = require(input)
  return [
    createValue(tensorTypes.uint8, dims),
    createValue(tensorTypes.float32, []),
    createValue(tensorTypes.uint8, []),
  ]
}

const gatherBlockQuantized: Operator = ([data, indices, scales], node) => {
  const [{ type: packedType, dims }, { dims: places }] = [require(data), require(indices)]
  const perElement = packedType === tensorTypes.uint8 ? 8 / readInteger(node, 'bits', 4) : 1
  return createValue(require(scales).type, [...places, dims.at(-1)! * perElement])
}

const trilu: Operator = ([input, diagonalInput], node) => {
  const source = require(input)
  const diagonal = diagonalInput ? readElements(diagonalInput)[0]! : 0
  const isUpper = readInteger(node, 'upper', 1) === 1
  const [rows, columns] = [source.dims.at(-2) ?? 0, source.dims.at(-1) ?? 0]
  return createValue(source.type, source.dims, () => {
    const elements = source.read()
    return (
      elements &&
      Float64Array.from(elements, (element, index) => {
        const distance = (index % columns) - (Math.floor(index / columns) % rows)
        return (isUpper ? distance >= diagonal : distance <= diagonal) ? element : 0
      })
    )
  })
}

const cumulate: Operator = ([input, axisInput], node) => {
  const source = require(input)
  const axis = normalizeAxis(readElements(axisInput)[0]!, source.dims.length)
  const isPlain = readInteger(node, 'exclusive', 0) === 0 && readInteger(node, 'reverse', 0) === 0
  if (!isPlain || axis !== source.dims.length - 1) return createValue(source.type, source.dims)
  return createValue(source.type, source.dims, () => {
    const elements = source.read()
    const length = source.dims[axis]!
    let sum = 0
    return (
      elements &&
      Float64Array.from(elements, (element, index) => (sum = (index % length === 0 ? 0 : sum) + element))
    )
  })
}

const scatter: Operator = ([data, indices, updates], node) => {
  const [source, places, replacements] = [require(data), require(indices), require(updates)]
  const hasReduction = findAttribute(node, 'reduction') !== undefined
  return createValue(source.type, source.dims, () => {
    const [elements, chosen, newElements] = [source.read(), places.read(), replacements.read()]
    if (!elements || !chosen || !newElements || hasReduction) return undefined
    const depth = places.dims.at(-1)!
    const strides = countStrides(source.dims)
    const inner = countElements(source.dims.slice(depth))
    const result = Float64Array.from(elements)
    for (let index = 0; index < chosen.length / depth; index += 1) {
      let start = 0
      for (let axis = 0; axis < depth; axis += 1) {
        const place = chosen[index * depth + axis]!
        start += (place < 0 ? place + source.dims[axis]! : place) * strides[axis]!
      }
      for (let offset = 0; offset < inner; offset += 1)
        result[start + offset] = newElements[index * inner + offset]!
    }
    return result
  })
}

/** Computes the outputs of a node from its inputs, for each operator that is known here (https://onnx.ai/onnx/operators). */
export const operators: ReadonlyMap<string, Operator> = new Map<string, Operator>([
  ['Abs', unary(Math.abs)],
  ['Add', binary((first, second) => first + second)],
  ['And', binary((first, second) => Number(first !== 0 && second !== 0))],
  ['BiasGelu', keepShape],
  ['Cast', cast],
  ['Clip', keepShape],
  ['Concat', concat],
  ['Constant', constant],
  ['ConstantOfShape', fill],
  ['Cos', unary(Math.cos)],
  ['CumSum', cumulate],
  ['DequantizeLinear', ([input, scale]) => createValue(require(scale).type, require(input).dims)],
  ['Div', ([first, second]) => divide(require(first), require(second))],
  ['DynamicQuantizeLinear', quantizeActivations],
  ['Elu', keepShape],
  ['Equal', compare((first, second) => first === second)],
  ['Erf', keepShape],
  ['Exp', unary(Math.exp)],
  ['Expand', ([input, shape]) => expandTo(require(input), readElements(shape))],
  ['FastGelu', keepShape],
  ['Flatten', flatten],
  ['Gather', gather],
  ['GatherBlockQuantized', gatherBlockQuantized],
  ['Gelu', keepShape],
  ['Gemm', gemm],
  ['Greater', compare((first, second) => first > second)],
  ['GreaterOrEqual', compare((first, second) => first >= second)],
  ['Identity', ([input]) => require(input)],
  ['IsNaN', unary((element) => Number(Number.isNaN(element)), tensorTypes.bool)],
  ['LayerNormalization', keepShape],
  ['LeakyRelu', keepShape],
  ['Less', compare((first, second) => first < second)],
  ['LessOrEqual', compare((first, second) => first <= second)],
  ['MatMul', matMul],
  ['MatMulInteger', matMul],
  ['MatMulNBits', matMulNBits],
  ['Max', binary(Math.max)],
  ['Min', binary(Math.min)],
  ['Mul', binary((first, second) => first * second)],
  ['Neg', unary((element) => -element)],
  ['Not', unary((element) => Number(element === 0))],
  ['Or', binary((first, second) => Number(first !== 0 || second !== 0))],
  ['Pow', binary((first, second) => first ** second)],
  ['QuickGelu', keepShape],
  ['Range', range],
  ['Reciprocal', unary((element) => 1 / element)],
  ['ReduceMax', reduce],
  ['ReduceMean', reduce],
  ['ReduceSum', reduce],
  ['Relu', keepShape],
  ['Reshape', reshapeTo],
  ['RotaryEmbedding', keepShape],
  ['ScatterND', scatter],
  ['Shape', ([input], node) => readShape(require(input), node)],
  ['Sigmoid', keepShape],
  ['SimplifiedLayerNormalization', keepShape],
  ['Sin', unary(Math.sin)],
  ['SkipLayerNormalization', keepShape],
  ['SkipSimplifiedLayerNormalization', keepShape],
  ['Slice', slice],
  ['Softmax', keepShape],
  ['Softplus', keepShape],
  ['Split', split],
  ['Sqrt', unary(Math.sqrt)],
  ['Squeeze', squeeze],
  ['Sub', binary((first, second) => first - second)],
  ['Tanh', unary(Math.tanh)],
  ['Transpose', transpose],
  ['Trilu', trilu],
  ['Unsqueeze', unsqueeze],
  ['Where', ([condition, first, second]) => select(require(condition), require(first), require(second))],
])

function divide(first: Value, second: Value): Value {
  const divideElements = integerTypes.has(first.type)
    ? (left: number, right: number) => Math.trunc(left / right)
    : (left: number, right: number) => left / right
  return zip(first.type, [first, second], divideElements)
}

function expandTo(source: Value, shape: readonly number[]): Value {
  return expand(source, broadcastDims([source.dims, shape]))
}

function select(condition: Value, first: Value, second: Value): Value {
  return zip(first.type, [condition, first, second], (isFirst, left, right) => (isFirst !== 0 ? left : right))
}

function readShape({ dims }: Value, node: NodeProto): Value {
  const part = dims.slice(readInteger(node, 'start', 0), readInteger(node, 'end', dims.length))
  return createValue(tensorTypes.int64, [part.length], () => part)
}
