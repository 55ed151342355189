import { watchPipelines } from './pipeline-names.js'

/** What a compute pipeline is created from, as data that can be stored. */
export interface PipelineRecipe {
  readonly code: string
  readonly entryPoint: string | undefined
  readonly constants: Readonly<Record<string, number>> | undefined
  /** The entries of each bind group layout; undefined for the layout `auto`. */
  readonly groups: readonly (readonly GPUBindGroupLayoutEntry[])[] | undefined
}

/** The compute pipelines of a device. */
export interface PipelinePool {
  /**
   * Compiles pipelines ahead, in this order, a few at a time, until the device is lost or destroyed. Whoever creates one of them
   * later gets the compiled one.
   */
  compile(recipes: readonly PipelineRecipe[]): Promise<void>
  /** The recipes of the pipelines that were created, in the order of their first use. */
  readonly used: readonly PipelineRecipe[]
  /** Called when a pipeline is created for the first time. */
  onUse: () => void
  /** Compiles those of the pipelines to compile ahead that have one of these entry points, before the others. */
  waitFor(entryPoints: readonly string[]): Promise<void>
}

/** One core stays free for the worker. */
const maxParallel = () => Math.max(1, navigator.hardwareConcurrency - 1)

const pools = new WeakMap<GPUDevice, PipelinePool>()

/** Returns the pool of a device that `createGpuDevice` has created. */
export function findPool(device: GPUDevice): PipelinePool | undefined {
  return pools.get(device)
}

/** Makes a device share the pipelines that are created twice from the same code, constants and layout. */
export function poolPipelines(device: GPUDevice): void {
  watchPipelines(device)
  const read = watchRecipes(device)
  const createPipeline = device.createComputePipeline.bind(device)
  const createPipelineAsync = device.createComputePipelineAsync.bind(device)
  /** Only valid pipelines. */
  const ready = new Map<string, GPUComputePipeline>()
  /** Those that were created without waiting. Nobody has been told yet if one of them is invalid. */
  const unchecked = new Map<string, GPUComputePipeline>()
  const pending = new Map<string, Promise<GPUComputePipeline>>()
  /** Recipes by key, in the order of their first use. */
  const used = new Map<string, PipelineRecipe>()
  let ahead: readonly PipelineRecipe[] = []

  function use(recipe: PipelineRecipe): string {
    const key = JSON.stringify(recipe)
    if (!used.has(key)) {
      used.set(key, recipe)
      pool.onUse()
    }
    return key
  }

  function start(key: string, descriptor: GPUComputePipelineDescriptor): Promise<GPUComputePipeline> {
    const found = pending.get(key)
    if (found) return found
    const compiling = createPipelineAsync(descriptor)
    pending.set(key, compiling)
    compiling.then(
      (pipeline) => ready.set(key, pipeline),
      () => pending.delete(key),
    )
    return compiling
  }

  /** An invalid recipe, perhaps of another version of this device, is ignored: its pipeline is then created again, or never. */
  async function compileAhead(recipe: PipelineRecipe): Promise<void> {
    let compiling: Promise<unknown> | undefined
    device.pushErrorScope('validation')
    try {
      compiling = start(JSON.stringify(recipe), describePipeline(device, recipe))
    } catch {
      // A record of another shape.
    }
    device.popErrorScope().catch(() => {})
    await compiling?.catch(() => {})
  }

  const pool: PipelinePool = {
    async compile(recipes) {
      ahead = recipes
      const queue = [...recipes]
      void device.lost.then(() => queue.splice(0))
      const compileNext = async () => {
        for (let next = queue.shift(); next; next = queue.shift()) await compileAhead(next)
      }
      await Promise.all(Array.from({ length: maxParallel() }, compileNext))
    },
    get used() {
      return [...used.values()]
    },
    onUse: () => {},
    async waitFor(entryPoints) {
      const wanted = ahead.filter(({ entryPoint = '' }) => entryPoints.includes(entryPoint))
      await Promise.all(wanted.map(compileAhead))
    },
  }
  device.createComputePipeline = (descriptor) => {
    const recipe = read(descriptor)
    if (!recipe) return createPipeline(descriptor)
    const key = use(recipe)
    const pipeline = ready.get(key) ?? unchecked.get(key) ?? createPipeline(descriptor)
    unchecked.set(key, pipeline)
    return pipeline
  }
  device.createComputePipelineAsync = async (descriptor) => {
    const recipe = read(descriptor)
    if (!recipe) return createPipelineAsync(descriptor)
    const key = use(recipe)
    return ready.get(key) ?? start(key, descriptor)
  }
  pools.set(device, pool)
}

/** @returns a function that reads the recipe of a pipeline; it returns undefined if its parts were created elsewhere */
function watchRecipes(
  device: GPUDevice,
): (descriptor: GPUComputePipelineDescriptor) => PipelineRecipe | undefined {
  const codes = new WeakMap<GPUShaderModule, string>()
  const groupEntries = new WeakMap<GPUBindGroupLayout, readonly GPUBindGroupLayoutEntry[]>()
  const layoutGroups = new WeakMap<GPUPipelineLayout, PipelineRecipe['groups']>()
  const createShaderModule = device.createShaderModule.bind(device)
  const createBindGroupLayout = device.createBindGroupLayout.bind(device)
  const createPipelineLayout = device.createPipelineLayout.bind(device)

  device.createShaderModule = (descriptor) => {
    const module = createShaderModule(descriptor)
    codes.set(module, descriptor.code)
    return module
  }
  device.createBindGroupLayout = (descriptor) => {
    const layout = createBindGroupLayout(descriptor)
    groupEntries.set(layout, [...descriptor.entries])
    return layout
  }
  device.createPipelineLayout = (descriptor) => {
    const layout = createPipelineLayout(descriptor)
    const groups = [...descriptor.bindGroupLayouts].map((group) => group && groupEntries.get(group))
    const isPlain = !('immediateSize' in descriptor) || descriptor.immediateSize === 0
    if (isPlain && groups.every((entries) => entries !== undefined && entries !== null))
      layoutGroups.set(layout, groups)
    return layout
  }
  return ({ layout, compute: { module, entryPoint, constants } }) => {
    const code = codes.get(module)
    const groups = layout === 'auto' ? undefined : layoutGroups.get(layout)
    if (code === undefined || (layout !== 'auto' && !groups)) return undefined
    return { code, entryPoint, constants, groups }
  }
}

function describePipeline(
  device: GPUDevice,
  { code, entryPoint, constants, groups }: PipelineRecipe,
): GPUComputePipelineDescriptor {
  const layout =
    groups === undefined
      ? 'auto'
      : device.createPipelineLayout({
          bindGroupLayouts: groups.map((entries) => device.createBindGroupLayout({ entries: [...entries] })),
        })
  const module = device.createShaderModule({ code })
  return {
    layout,
    compute: {
      module,
      ...(entryPoint !== undefined && { entryPoint }),
      ...(constants !== undefined && { constants }),
    },
  }
}
