/** What a browser says about the user's device. Most of it exists only in Chromium. */
export interface DeviceState {
  /** The part of the battery's charge that is left, from 0 to 1; 1 while it is charging, and if it is unknown. */
  readonly battery: number
  /** Infinity if it is unknown. */
  readonly memoryGib: number
  readonly savesData: boolean
}

/** The properties that TypeScript's library does not have: Battery Status API, Device Memory API, Network Information API. */
interface ChromiumNavigator {
  getBattery?(): Promise<{ readonly level: number; readonly charging: boolean }>
  readonly deviceMemory?: number
  readonly connection?: { readonly saveData?: boolean }
}

/** Reads the state of the device. Its properties change with the device. */
export async function readDeviceState(): Promise<DeviceState> {
  const browser = navigator as ChromiumNavigator
  // A page without the permission `battery` gets an error.
  const battery = await browser.getBattery?.().catch(() => undefined)
  return {
    get battery() {
      return battery && !battery.charging ? battery.level : 1
    },
    get memoryGib() {
      return browser.deviceMemory ?? Infinity
    },
    get savesData() {
      return browser.connection?.saveData === true
    },
  }
}
