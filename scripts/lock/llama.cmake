# Read by CMake right after llama.cpp's own project() line (CMAKE_PROJECT_llama.cpp_INCLUDE).
# llama.cpp's "common" library serves its command-line tools, which are not built; leaving it out
# saves most of the compile. The option has to be set here, since llama-cpp-python forces it on.
set(LLAMA_BUILD_COMMON OFF)

# ggml-vulkan.cpp needs Vulkan's headers of 1.3.261. Debian 12 and Ubuntu 22.04 have older ones.
if(GGML_VULKAN)
  set(LAYER_SETTINGS "${CMAKE_CURRENT_LIST_DIR}/layer_settings.h")
  set(VULKAN_SOURCE "${CMAKE_CURRENT_SOURCE_DIR}/ggml/src/ggml-vulkan/ggml-vulkan.cpp")
  cmake_language(
    DEFER CALL set_property
      SOURCE "${VULKAN_SOURCE}" TARGET_DIRECTORY ggml-vulkan
      APPEND PROPERTY COMPILE_OPTIONS -include "${LAYER_SETTINGS}"
  )
endif()
