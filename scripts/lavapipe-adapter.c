/*
 * Replaces Chromium's libvk_swiftshader.so, and passes all Vulkan calls to the Vulkan loader, which opens Mesa's lavapipe.
 *
 * Chromium accepts only one software adapter for WebGPU: SwiftShader, which it recognizes by vendor and device id. So the
 * properties of the adapter get these two ids, and nothing else changes.
 */
#include <dlfcn.h>
#include <stdint.h>
#include <string.h>

static const uint32_t swiftshader_vendor = 0x1AE0, swiftshader_device = 0xC0DE;

/* The start of VkPhysicalDeviceProperties, and VkPhysicalDeviceProperties2, which contains it. */
struct properties {
  uint32_t api_version, driver_version, vendor_id, device_id;
};
struct properties2 {
  uint32_t type;
  void *next;
  struct properties properties;
};

typedef void (*vulkan_function)(void);

static void (*read_properties)(void *adapter, struct properties *result);
static void (*read_properties2)(void *adapter, struct properties2 *result);

static void set_ids(struct properties *result) {
  result->vendor_id = swiftshader_vendor;
  result->device_id = swiftshader_device;
}

static void read_swiftshader_properties(void *adapter, struct properties *result) {
  read_properties(adapter, result);
  set_ids(result);
}

static void read_swiftshader_properties2(void *adapter, struct properties2 *result) {
  read_properties2(adapter, result);
  set_ids(&result->properties);
}

__attribute__((visibility("default"))) vulkan_function vkGetInstanceProcAddr(void *instance, const char *name) {
  static vulkan_function (*find)(void *, const char *);
  if (!find) {
    void *loader = dlopen("libvulkan.so.1", RTLD_NOW | RTLD_LOCAL);
    if (loader) find = (vulkan_function(*)(void *, const char *))dlsym(loader, "vkGetInstanceProcAddr");
    if (!find) return 0;
  }
  if (strcmp(name, "vkGetInstanceProcAddr") == 0) return (vulkan_function)vkGetInstanceProcAddr;
  vulkan_function found = find(instance, name);
  if (!found) return 0;
  if (strcmp(name, "vkGetPhysicalDeviceProperties") == 0) {
    read_properties = (void (*)(void *, struct properties *))found;
    return (vulkan_function)read_swiftshader_properties;
  }
  /* An extension before Vulkan 1.1 had the same function under another name. */
  if (strcmp(name, "vkGetPhysicalDeviceProperties2") == 0 || strcmp(name, "vkGetPhysicalDeviceProperties2KHR") == 0) {
    read_properties2 = (void (*)(void *, struct properties2 *))found;
    return (vulkan_function)read_swiftshader_properties2;
  }
  return found;
}
