# Read by CMake right after llama.cpp's own project() line (CMAKE_PROJECT_llama.cpp_INCLUDE).
# llama.cpp's "common" library serves its command-line tools, which are not built; leaving it out
# saves most of the compile. The option has to be set here, since llama-cpp-python forces it on.
set(LLAMA_BUILD_COMMON OFF)
