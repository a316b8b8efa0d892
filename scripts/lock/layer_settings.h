/* Included before ggml-vulkan.cpp, which needs a type that Vulkan's headers have since 1.3.261.
 *
 * Debian 12 and Ubuntu 22.04 have older headers. llama.cpp chains the settings only for the
 * validation layer; a loader skips a structure that it does not know.
 */
#pragma once
#include <vulkan/vulkan_core.h>

#ifndef VK_EXT_layer_settings
#include <cstdint>
#include <vector>

namespace vk {
enum class LayerSettingTypeEXT { eBool32 = 0 };

struct LayerSettingEXT {
    const char *layer;
    const char *name;
    LayerSettingTypeEXT type;
    uint32_t count;
    const void *values;
};

struct LayerSettingsCreateInfoEXT {
    explicit LayerSettingsCreateInfoEXT(const std::vector<LayerSettingEXT> &all)
        : count(static_cast<uint32_t>(all.size())), settings(all.data()) {}

    VkStructureType kind = static_cast<VkStructureType>(1000496000);
    const void *next = nullptr;
    uint32_t count;
    const LayerSettingEXT *settings;
};
}  // namespace vk
#endif
